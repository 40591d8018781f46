"""Hydra plugins: a sweeper that resumes, and launchers. Hydra imports them at each start, so they import little."""
