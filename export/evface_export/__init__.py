"""Export: a checkpoint in, an artefact for one target out, or nothing if landmarks moved."""
