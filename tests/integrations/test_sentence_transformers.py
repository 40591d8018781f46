"""An evaluator of sentence-transformers that gives the numbers of the functions, alone and within a training."""

import csv
import math
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics.prefix import retrieval_by_prefix

pytest.importorskip("sentence_transformers")

from sentence_transformers import SentenceTransformer
from sentence_transformers.evaluation import InformationRetrievalEvaluator, SequentialEvaluator
from sentence_transformers.models import Router, StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from intrinsic_clip.integrations.sentence_transformers import DimensionEvaluator

WORDS = [f"word{i}" for i in range(60)]
WIDTH = 32
BEST_OF_SPECTRUM = "spectrum/effective_rank/x"


@pytest.fixture
def model() -> SentenceTransformer:
    """Return a bag of 60 random words, whose first coordinates weigh most."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).normal(size=(60, WIDTH)) * 0.8 ** np.arange(WIDTH)
    return SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))], device="cpu"
    )


def sentences(n: int = 80) -> tuple[list[str], list[str]]:
    """Return sentences of eight words, and their partners, which lack one."""
    rng = np.random.default_rng(0)
    drawn = [[WORDS[i] for i in rng.choice(60, 8, replace=False)] for _ in range(n)]
    return [" ".join(words) for words in drawn], [" ".join(words[1:]) for words in drawn]


def test_numbers_are_those_of_the_functions(model) -> None:
    first, second = sentences()
    evaluator = DimensionEvaluator(first, second, dims=[16, 2, 8], only=["id", "spectrum", "alignment"])
    numbers = evaluator(model)
    x, y = (model.encode(side, convert_to_tensor=True) for side in (first, second))
    for name, number in ic.measure(x, y, only=["id", "spectrum", "alignment"]).items():
        assert numbers[name] == pytest.approx(number, rel=1e-5), name
    curve = retrieval_by_prefix(x, y, [2, 8, 16])
    for place, m in enumerate(curve.dims):
        assert numbers[f"retrieval/prefix_{m}/x_to_y"] == float(curve.recall.x_to_y[place, 0])
        assert numbers[f"retrieval/prefix_{m}/y_to_x"] == float(curve.recall.y_to_x[place, 0])
    assert numbers["retrieval/prefix_2/x_to_y"] < numbers["retrieval/prefix_16/x_to_y"]
    assert numbers["retrieval/top_1/x_to_y"] == float(curve.full.x_to_y[0])
    assert (
        numbers["retrieval/top_1/x_to_y"]
        == ic.measure(x, y, only="retrieval/top_1")["retrieval/top_1/x_to_y"]
    )
    assert numbers["sufficient_dimension/prefix"] in (8, 16, WIDTH)
    assert all(type(number) is float for number in numbers.values())
    assert evaluator.primary_metric == "retrieval/top_1/x_to_y"
    assert evaluator.greater_is_better
    assert evaluator.description == "Dimension"


def test_partners_found_by_chance_do_not_say_how_many_coordinates_are_enough(model) -> None:
    first, _ = sentences(400)
    evaluator = DimensionEvaluator(first[:200], first[200:], only=["sufficient_dimension", "retrieval/top_1"])
    with pytest.warns(
        UserWarning, match="sufficient_dimension/prefix is NaN: partners are found by chance alone"
    ):
        numbers = evaluator(model)
    assert math.isnan(numbers["sufficient_dimension/prefix"])
    assert evaluator.reasons == {
        "sufficient_dimension/prefix": "partners are found by chance alone among 200 pairs"
    }
    assert numbers["retrieval/top_1/x_to_y"] < 0.1


def test_prefixes_equal_truncated_embeddings(model) -> None:
    first, second = sentences()
    numbers = DimensionEvaluator(first, second)(model)
    assert [name for name in numbers if name.endswith("x_to_y") and "prefix" in name] == [
        f"retrieval/prefix_{m}/x_to_y" for m in (8, 16, 32)
    ]
    truncated = DimensionEvaluator(first, second, truncate_dim=16)(model)
    assert truncated["retrieval/top_1/x_to_y"] == numbers["retrieval/prefix_16/x_to_y"]
    assert truncated["id/mle/x"] != numbers["id/mle/x"]


def test_equal_sentences_are_one_thing(model) -> None:
    """Two partners of each sentence: either is right, and the sentence counts once."""
    first, second = sentences(40)
    twice = DimensionEvaluator(first * 2, second + first)(model)
    assert twice["retrieval/top_1/x_to_y"] == 1  # one partner is the sentence itself
    assert twice["retrieval/top_1/y_to_x"] >= 0.9


@pytest.mark.parametrize(
    ("only", "families", "primary"),
    [
        ("id", {"id", "id_standard_error"}, "id/mle/x"),
        (["alignment", "spectrum"], {"alignment", "spectrum", "spectrum_standard_error"}, BEST_OF_SPECTRUM),
        ("sufficient_dimension", {"sufficient_dimension"}, "sufficient_dimension/prefix"),
        ("retrieval/prefix", {"retrieval"}, "retrieval/prefix_8/x_to_y"),
        ("retrieval/top_1/y_to_x", {"retrieval"}, "retrieval/top_1/y_to_x"),
        ("retrieval/top_10", {"retrieval"}, "retrieval/top_10/x_to_y"),
    ],
)
def test_only_what_is_asked_for_is_returned(only, families: set[str], primary: str, model) -> None:
    evaluator = DimensionEvaluator(*sentences(), only=only)
    numbers = evaluator(model)
    assert {name.partition("/")[0] for name in numbers} == families
    assert evaluator.primary_metric == primary
    assert primary in numbers


def test_one_prefix_can_be_asked_for(model) -> None:
    numbers = DimensionEvaluator(*sentences(), only="retrieval/prefix_04")(model)
    assert list(numbers) == ["retrieval/prefix_4/x_to_y", "retrieval/prefix_4/y_to_x"]
    with pytest.raises(ConfigError, match="dims must lie between 1 and 32"):
        DimensionEvaluator(*sentences(), only="retrieval/prefix_33")(model)


def test_a_nan_is_told_once_with_its_reason(model) -> None:
    first, second = sentences(6)
    evaluator = DimensionEvaluator(first, second, only=["id/mle/x", "retrieval/top_1"])
    with pytest.warns(UserWarning, match="id/mle/x is NaN: needs at least 21 distinct points"):
        evaluator(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluator(model)
    assert not any(" NaN: " in str(warning.message) for warning in caught)
    model[0].embedding.weight.data[:] = torch.nan
    with pytest.warns(UserWarning, match="retrieval/top_1/y_to_x … are NaN: 6 of 6 pairs hold NaN"):
        assert np.isnan(evaluator(model)["retrieval/top_1/x_to_y"])


def test_without_partners_the_effective_rank_chooses(model) -> None:
    evaluator = DimensionEvaluator(sentences()[0], name="probe")
    numbers = evaluator(model)
    assert evaluator.primary_metric == "probe_spectrum/effective_rank/x"
    assert numbers[evaluator.primary_metric] > 1
    assert not [name for name in numbers if "retrieval" in name]


@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
def test_a_csv_file_grows_with_each_evaluation(model, tmp_path) -> None:
    first, second = sentences()
    evaluator = DimensionEvaluator(first, second, name="dev")
    for epoch in (1, 2):
        numbers = evaluator(model, str(tmp_path / "eval"), epoch, 10 * epoch)
    path = tmp_path / "eval" / "dimension_evaluation_dev_results.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["epoch"], row["steps"]) for row in rows] == [("1", "10"), ("2", "20")]
    assert float(rows[1]["id/mle/x"]) == numbers["dev_id/mle/x"]
    DimensionEvaluator(first, second, dims=[4], name="dev")(model, str(tmp_path / "eval"))  # other columns
    assert len(list(csv.reader(path.read_text().splitlines()))) == 3
    assert path.with_stem(f"{path.stem}_2").exists()
    DimensionEvaluator(first, second, write_csv=False)(model, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def of_two_sides(model: SentenceTransformer, kind: str) -> SentenceTransformer:
    """Return a model of the same words that embeds queries and documents in different ways."""
    if kind.startswith("prompts"):
        prompts = {"query": "word1 word2 word3 ", "passage" if "passage" in kind else "document": ""}
        return SentenceTransformer(modules=[model[0]], device="cpu", prompts=prompts)
    query, document = model[0], deepcopy(model[0])
    document.embedding.weight.data = document.embedding.weight.data.flip(1)
    if "mapped" in kind:
        routes = {"one": [query], "other": [document]}
        mappings = {("query", "text"): "one", ("document", "text"): "other"}
        return SentenceTransformer(modules=[Router(routes, route_mappings=mappings)], device="cpu")
    default = "query" if "default" in kind else None
    router = Router.for_query_document([query], [document], default_route=default)
    return SentenceTransformer(modules=[router], device="cpu")


@pytest.mark.parametrize(
    "kind", ["prompts", "prompts of passage", "router", "router with default", "router mapped"]
)
def test_the_sides_of_an_asymmetric_model_are_told_apart_as_by_the_librarys_evaluator(model, kind) -> None:
    first, second = sentences()
    model = of_two_sides(model, kind)
    evaluator = DimensionEvaluator(first, second)
    numbers = evaluator(model)
    x = model.encode_query(first, convert_to_tensor=True)
    assert numbers["id/mle/x"] == pytest.approx(ic.measure(x, only="id/mle")["id/mle/x"], rel=1e-5)
    queries, documents = ({str(i): side for i, side in enumerate(sides)} for sides in (first, second))
    of_library = InformationRetrievalEvaluator(
        queries, documents, {key: {key} for key in queries}, accuracy_at_k=[1], show_progress_bar=False
    )(model)
    assert numbers["retrieval/top_1/x_to_y"] == of_library["cosine_accuracy@1"] < 1
    assert evaluator.notes[-1] == "sentences1 are embedded by encode_query, sentences2 by encode_document"
    as_one = DimensionEvaluator(first, second, query_and_document=False)
    assert as_one(model)["retrieval/top_1/x_to_y"] > numbers["retrieval/top_1/x_to_y"]
    assert as_one.notes[-1] == "sentences1 are embedded by encode, sentences2 by encode"


@pytest.mark.parametrize("prompts", [None, {"query": "", "document": ""}, {"sts": "word1 "}])
def test_a_symmetric_model_is_embedded_by_encode(model, prompts) -> None:
    first, second = sentences()
    default = "sts" if prompts and "sts" in prompts else None
    model = SentenceTransformer(
        modules=[model[0]], device="cpu", prompts=prompts, default_prompt_name=default
    )
    evaluator = DimensionEvaluator(first, second, only="id")
    numbers = evaluator(model)
    x = model.encode(first, convert_to_tensor=True)
    assert numbers["id/mle/x"] == pytest.approx(ic.measure(x, only="id/mle")["id/mle/x"], rel=1e-5)
    assert not [note for note in evaluator.notes if "embedded" in note]
    told = DimensionEvaluator(first, second, only="id", query_and_document=True)
    told(model)
    assert told.notes[-1].endswith("by encode_query, sentences2 by encode_document")
    assert told.get_config_dict() == {"query_and_document": True}


def test_sentences_without_partners_are_embedded_by_encode(model) -> None:
    model = of_two_sides(model, "prompts")
    evaluator = DimensionEvaluator(sentences()[0], only="id")
    x = model.encode(sentences()[0], convert_to_tensor=True)
    assert evaluator(model)["id/mle/x"] == pytest.approx(ic.measure(x, only="id/mle")["id/mle/x"], rel=1e-5)
    assert not [note for note in evaluator.notes if "embedded" in note]


def test_it_stands_in_a_list_of_evaluators(model) -> None:
    first, second = sentences()
    both = SequentialEvaluator(
        [DimensionEvaluator(first, second, name="a"), DimensionEvaluator(first, name="b")]
    )
    numbers = both(model)
    assert numbers["a_id/mle/x"] == numbers["b_id/mle/x"]
    assert numbers["sequential_score"] == numbers["b_spectrum/effective_rank/x"]


def test_wrong_arguments_get_one_line(model) -> None:
    first, second = sentences()
    with pytest.raises(ConfigError, match="sentences1 and sentences2 must be pairs, got 80 and 79"):
        DimensionEvaluator(first, second[1:])
    with pytest.raises(ConfigError, match="dims are for retrieval, which needs partners"):
        DimensionEvaluator(first, dims=[8])
    for arguments, options, message in (
        (("hello",), {}, "sentences1 must be a list of sentences, got 'hello'"),
        ((first, "hello"), {}, "sentences2 must be a list of sentences, got 'hello'"),
        (([],), {}, "sentences1 is empty"),
        ((["a", None],), {}, r"sentences1\[1\] is None"),
        ((first, second), {"dims": 8}, r"dims must be a list of whole numbers from 1, such as \[8\], got 8"),
        ((first, second), {"dims": [0, 8]}, r"dims must be a list of whole numbers from 1, got \[0, 8\]"),
        ((first, second), {"only": "idd"}, "only: there is no number 'idd'.*sufficient_dimension too$"),
        ((first, second), {"only": "retrieval/prefixes"}, "there is no number 'retrieval/prefixes'"),
        ((first, second), {"only": []}, "only names no number"),
        ((first,), {"query_and_document": True}, "query_and_document=True needs documents: sentences2"),
        ((first, second), {"query_and_document": "query"}, "must be True, False or None, got 'query'"),
        ((first,), {"only": "retrieval/prefix"}, "retrieval/prefix needs partners: sentences2"),
        ((first,), {"only": ["id", "alignment"]}, "only: alignment compares x with y, and there is no y"),
    ):
        with pytest.raises(ConfigError, match=message):
            DimensionEvaluator(*arguments, **options)
    with pytest.raises(ConfigError, match="dims must lie between 1 and 32, the width of the embeddings"):
        DimensionEvaluator(first, second, dims=[64])(model)


def test_a_matryoshka_training_evaluates_and_keeps_the_best(model, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("accelerate")
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

    first, second = sentences()
    best = "eval_dev_retrieval/prefix_8/x_to_y"
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path), num_train_epochs=2, per_device_train_batch_size=20, learning_rate=0.05, use_cpu=True,
        eval_strategy="epoch", save_strategy="epoch", report_to="none", disable_tqdm=True,
        load_best_model_at_end=True, metric_for_best_model=best,
    )  # fmt: skip
    loss = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), matryoshka_dims=[32, 16, 8])
    evaluator = DimensionEvaluator(first, second, dims=[32, 16, 8], name="dev")
    trainer = SentenceTransformerTrainer(
        model,
        arguments,
        datasets.Dataset.from_dict({"a": first, "b": second}),
        loss=loss,
        evaluator=evaluator,
    )
    trainer.train()
    found = [entry[best] for entry in trainer.state.log_history if best in entry]
    assert len(found) == 2
    assert trainer.state.best_metric == max(found)
    assert (tmp_path / "eval" / "dimension_evaluation_dev_results.csv").exists()


def test_retrieval_by_prefix_refuses_what_does_not_fit() -> None:
    x = torch.randn(10, 4)
    for options, message in (
        ({"dims": [5]}, "dims must lie between 1 and 4"),
        ({"dims": [2], "ks": [11]}, "ks must lie between 1 and the 10 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            retrieval_by_prefix(x, x, **options)
    with pytest.raises(ValueError, match=r"x and y must be \(n, d\)"):
        retrieval_by_prefix(torch.randn(2, 10, 4), torch.randn(2, 10, 4), [2])
    sample = retrieval_by_prefix(x, x, [4], max_rows=6)
    assert (sample.n, float(sample.full.x_to_y[0])) == (6, 1.0)
