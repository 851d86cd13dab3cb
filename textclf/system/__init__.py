"""The process and its machine: files, signals, memory, disk, environment, imports, timing, secrets."""
