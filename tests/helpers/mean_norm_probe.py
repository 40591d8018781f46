"""A probe as a user would write it, from the docstring of `Probe`."""

from intrinsic_clip.probes import Probe


class MeanNormProbe(Probe):
    """Log the mean norm of representations."""

    def names(self, sides):
        return [f"mean_norm/{side}" for side in sides]

    def measure(self, embeddings):
        return {f"mean_norm/{side}": rows.norm(dim=-1).mean(-1) for side, rows in embeddings.sides().items()}
