"""Settings of the app, handed from the command line to Streamlit's process through the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from textclf.errors import ConfigError, refuse_unless

VARIABLE = "TEXTCLF_APP"


@dataclass(frozen=True)
class Settings:
    """How the app works; every option of the command line that is not about the server."""

    outputs: str = "outputs"
    """Folder whose finished runs can be picked."""
    run: str | None = None
    """Folder of the run, or of the classifier, that is picked at first; none picks the newest run."""
    feedback: str | None = None
    """JSONL file that feedback is appended to; none takes a file for each dataset under `outputs/feedback`."""
    events: str | None = None
    """JSONL file of the events; none takes `outputs/app/events.jsonl`."""
    to_label: str | None = None
    """File with suggested labels that is opened at first; none opens the newest under `outputs/labelling`."""
    max_upload_mb: int = 50
    """Largest file that can be uploaded, in megabytes."""
    max_rows: int = 20_000
    """Most rows of an uploaded file."""
    max_characters: int = 100_000
    """Longest text that can be typed."""
    words: int = 60
    """Words of a text, from its start, that are left out in turn; each costs a prediction."""
    classifiers: int = 4
    """Classifiers kept in memory; of more, the one that was loaded first is dropped."""
    log_texts: bool = False
    """Write the texts into the events too."""
    sign_in: bool = False
    """Show nothing to who has not signed in."""
    allowed: tuple[str, ...] = ()
    """Addresses, or domains as `@example.com`, of who may sign in; none lets in whoever the provider lets in."""

    def __post_init__(self) -> None:
        """Refuse limits that leave nothing to do."""
        refuse_unless(
            *(
                (value >= 1, f"{option} must be at least 1, got {value}.")
                for option, value in [
                    ("--max-upload-mb", self.max_upload_mb),
                    ("--max-rows", self.max_rows),
                    ("--max-characters", self.max_characters),
                    ("--classifiers", self.classifiers),
                ]
            ),
            (self.words >= 0, f"--words must be 0 or more, got {self.words}."),
            (not self.allowed or self.sign_in, "--allow needs --sign-in: without it nobody is asked who they are."),
            *(("@" in who, f"--allow {who}: name an address, or a domain as @example.com.") for who in self.allowed),
        )

    @property
    def outputs_folder(self) -> Path:
        """Folder whose finished runs can be picked."""
        return Path(self.outputs)

    @property
    def events_file(self) -> Path:
        """JSONL file of the events."""
        return Path(self.events) if self.events else self.outputs_folder / "app" / "events.jsonl"

    def short(self, said: str) -> str:
        """Return a text of the server for a visitor: without the folders above the outputs, and above other files."""
        named = [self.outputs, self.feedback, self.events, self.run, self.to_label]
        folders = {str(Path(name).parent) for name in named if name and Path(name).is_absolute()}
        for folder in sorted(folders, key=lambda one: (not self.outputs.startswith(one), len(one))):
            if len(Path(folder).parts) > 1:
                said = said.replace(folder + os.sep, "")
        return said

    def as_environment(self) -> dict[str, str]:
        """Return the environment variable that carries the settings."""
        return {VARIABLE: json.dumps(asdict(self))}


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; without any, the defaults.

    Raises:
        ConfigError: If they cannot be read.
    """
    said = (os.environ if environment is None else environment).get(VARIABLE)
    if not said:
        return Settings()
    try:
        content = json.loads(said)
        known = {field.name for field in fields(Settings)}
        if strange := sorted(set(content) - known):
            raise ValueError(f"it has {', '.join(strange)}, which the app does not know")
        return Settings(**content | {"allowed": tuple(content.get("allowed", ()))})
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{VARIABLE} does not hold the app's settings: {error}. Start it by python -m textclf.app."
        ) from error
