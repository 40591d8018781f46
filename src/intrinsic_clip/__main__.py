"""`python -m intrinsic_clip …` does what the console script `intrinsic-clip …` does."""

from intrinsic_clip.cli.start import main

if __name__ == "__main__":
    main()
