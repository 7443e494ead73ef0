"""``python -m spacecut``."""

from spacecut.cli import main

if __name__ == "__main__":
    main()
