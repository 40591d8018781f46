"""Choose how a model of sentence-transformers embeds the two sides of pairs: queries and documents, or alike."""

from typing import Any

from torch import nn

from intrinsic_clip.errors import ConfigError

PROMPTS = ("query", "document", "passage", "corpus")  # by which encode_query and encode_document begin
ROUTES = {"query", "document"}  # the tasks that they give to a Router
ALIKE, APART = ("encode", "encode"), ("encode_query", "encode_document")


def checked(query_and_document: bool | None, paired: bool) -> bool | None:
    """Return the argument.

    Raises:
        ConfigError: it is none of its values, or tells sides apart where there is one.
    """
    if query_and_document is not None and not isinstance(query_and_document, bool):
        raise ConfigError(f"query_and_document must be True, False or None, got {query_and_document!r}")
    if query_and_document and not paired:
        raise ConfigError("query_and_document=True needs documents: sentences2")
    return query_and_document


def ways_of(model: nn.Module, asked: bool | None, paired: bool) -> tuple[tuple[str, str], str | None]:
    """Return the names of the methods that embed the sides, and a note on them where they could be others.

    Args:
        model: a SentenceTransformer.
        asked: whether sides are to be told apart; None: where the model does.
        paired: whether there are two sides.

    Raises:
        ConfigError: sides are to be told apart, and the library cannot yet.
    """
    own = paired and _tells_sides_apart(model)
    apart = own if asked is None else asked
    if apart and not hasattr(model, APART[0]):
        raise ConfigError("query_and_document=True needs sentence-transformers 5 or later")
    ways = APART if apart else ALIKE
    told = f"sentences1 are embedded by {ways[0]}, sentences2 by {ways[1]}" if own or apart else None
    return ways, told


def _tells_sides_apart(model: nn.Module) -> bool:
    """Return whether a model has prompts for queries or documents that say something, or a Router between them."""
    if not hasattr(model, APART[0]):  # before version 5
        return False
    prompts = getattr(model, "prompts", None) or {}
    routes: set[str | None] = set()
    for part in model.modules():
        branches = getattr(part, "sub_modules", None)
        if isinstance(branches, nn.ModuleDict):
            mappings: Any = getattr(part, "route_mappings", None) or {}
            routes |= {*branches, *(task for task, _ in mappings)}
    return any(prompts.get(name) for name in PROMPTS) or not ROUTES.isdisjoint(routes)
