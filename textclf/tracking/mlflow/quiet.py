"""MLflow as textclf wants it: no pickle, no jobs that a request starts, no telemetry, no long waits, no bars.

Import this before MLflow. What the person has set is left alone.
"""

from __future__ import annotations

from textclf.tracking.options import set_environment

set_environment()
