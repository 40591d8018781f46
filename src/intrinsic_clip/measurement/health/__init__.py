"""Judge a measurement by rules, for pipelines: `measure … --check rules.yaml`."""
