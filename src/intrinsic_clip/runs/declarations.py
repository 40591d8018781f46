"""Declare every metric: name, title, unit, axis and meaning; `vocabulary` looks names up here."""

from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

Axis = Literal["linear", "from zero", "zero to one", "log"]
Direction = Literal["higher", "lower", ""]

USUAL_ESTIMATORS = {  # those of probes=full
    "mle": "MLE",
    "twonn": "TwoNN",
    "gride": "GRIDE",
    "correlation_integral": "correlation integral",
    "method_of_moments": "method of moments",
    "mada": "MADA",
    "tle": "TLE",
    "local_pca": "local PCA",
}
ESTIMATORS = USUAL_ESTIMATORS | {
    "corrected_participation_ratio": "corrected participation ratio",
    "mean_mle": "MLE, mean of points",
    "spanning_tree": "minimum spanning tree",
}
SIDES = {"x": "f(X)", "y": "g(Y)"}
DIRECTIONS = {"x_to_y": "x → y", "y_to_x": "y → x"}
PAIRS = {"positive": "positive pairs", "random": "random pairs"}
FURTHER_SIDES = {"z": "h(Z)", "u": "h(U)", "v": "h(V)", "w": "h(W)"}  # modalities beyond x and y
MODALITIES = SIDES | FURTHER_SIDES
FURTHER_DIRECTIONS = {
    f"{one}_to_{other}": f"{one} → {other}" for one, other in permutations(MODALITIES, 2)
}  # x → y and y → x among them
MODALITY_PAIRS = {
    f"{one}_{other}": f"{MODALITIES[one]} and {MODALITIES[other]}"
    for one, other in combinations(MODALITIES, 2)
}
# By the last part of a name: lines of one chart.
PARTS = MODALITIES | FURTHER_DIRECTIONS | PAIRS | MODALITY_PAIRS
SPLITS = {"in_sample/": "training rows", "test/": "test rows"}  # prefixes; without one: held-out rows
CLASSIFIERS = {"knn": "k nearest neighbours", "linear": "linear classifier", "zero_shot": "zero-shot"}
REGRESSIONS = {"linear": "ridge regression", "kernel": "kernel ridge regression"}


@dataclass(frozen=True)
class Scale:
    """Unit, axis and good direction of a number.

    Attributes:
        unit: "" for a number without one.
        axis: scale and limits of an axis.
        better: whether higher or lower is better; "" where neither is.
    """

    unit: str = ""
    axis: Axis = "linear"
    better: Direction = ""


@dataclass(frozen=True)
class Declaration:
    """A metric, or several whose names follow one pattern.

    Attributes:
        pattern: the name, with a placeholder for each part that varies: `id/<estimator>/<side>`.
        quantity: words for the axis of a chart, without placeholders.
        scale: unit, axis and good direction.
        meaning: one sentence for the generated table.
        detail: words that follow the quantity in a title, with the pattern's placeholders in braces.
        short: title for narrow columns, with placeholders too; empty: as the title.
        true_dimension: whether k*, the shared dimension, is its true value.
        main: whether summaries show it.
        standard_error: whether its standard error is logged as `<kind>_standard_error/…`.
    """

    pattern: str
    quantity: str
    scale: Scale
    meaning: str
    detail: str = ""
    short: str = ""
    true_dimension: bool = False
    main: bool = False
    standard_error: bool = False


PLAIN = Scale()
HIGHER, FROM_ZERO = Scale(better="higher"), Scale(axis="from zero")
DIMENSIONS = Scale("dimensions", "from zero")
PAIRS_SHARE = Scale("share of pairs", "zero to one", "higher")
ROWS_SHARE = Scale("share of rows", "zero to one", "higher")
RANK = Scale("rank", "log", "lower")

# fmt: off
DECLARATIONS = (  # in the order in which pages and tables show them
    Declaration("id/<estimator>/<side>", "intrinsic dimension", DIMENSIONS,
        "Intrinsic dimension of the representations by one estimator; the paper's is the MLE with k = 20.",
        "{estimator}", "ID, {estimator}", true_dimension=True, main=True, standard_error=True),
    Declaration("matching/top_<k>/<direction>", "matching accuracy", PAIRS_SHARE,
        "Share of pairs whose partner is among the k largest inner products of the encoders' own outputs.",
        "top {k}", "top {k}", main=True),
    Declaration("matching/top_<α>pct/<direction>", "matching accuracy", PAIRS_SHARE,
        "Share of pairs whose partner is among the max(1, int(α n)) largest inner products; the paper's α is 0.5 %.",
        "top {α} %", "top {α} %", main=True),
    Declaration("matching/label_<set>/<direction>", "label matching accuracy", ROWS_SHARE,
        "Share of rows whose best match by inner product has their own label of this label set.",
        "{set}", "label {set}", main=True),
    Declaration("matching/median_rank/<direction>", "median rank of the partner", RANK,
        "Median rank of the partner by inner product among n rows: 1 is the nearest, (n + 1) / 2 is chance.",
        short="median rank"),
    Declaration("retrieval/top_<k>/<direction>", "recall by cosine", PAIRS_SHARE,
        "Share of pairs whose partner is among the k largest cosines (recall@k).",
        "top {k}", "recall@{k}", main=True, standard_error=True),
    Declaration("retrieval/top_<α>pct/<direction>", "recall by cosine", PAIRS_SHARE,
        "Share of pairs whose partner is among the max(1, int(α n)) largest cosines.",
        "top {α} %", "recall@{α} %", main=True, standard_error=True),
    Declaration("retrieval/prefix_<k>/<direction>", "recall by cosine", PAIRS_SHARE,
        "Recall@1 with the first k coordinates alone, as of truncated Matryoshka embeddings.",
        "first {k} coordinates", "recall@1, first {k}"),
    Declaration("retrieval/label_<set>/<direction>", "label accuracy by cosine", ROWS_SHARE,
        "Share of rows whose best match by cosine has their own label of this label set.",
        "{set}", main=True),
    Declaration("retrieval/median_rank/<direction>", "median rank of the partner by cosine", RANK,
        "Median rank of the partner by cosine among n rows: 1 is the nearest, (n + 1) / 2 is chance.",
        short="median rank by cosine"),
    Declaration("retrieval/candidates", "candidates of retrieval", Scale("rows"),
        "Number of rows among which each partner is searched."),
    Declaration("temperature", "temperature τ", Scale(axis="log"),
        "Temperature of the loss; in the paper's theory a learned τ falls to 0.",
        short="τ", main=True),
    Declaration("temperature/<scale>", "temperature τ", Scale(axis="log"),
        "Temperature that belongs to one of several scales of a model, such as its logit_scale.", "{scale}"),
    Declaration("optimal_temperature", "InfoNCE-optimal temperature τ", Scale(axis="log"),
        "Temperature at which the InfoNCE loss of held-out rows is lowest, in batches as large as those of training."),
    Declaration("logit_bias", "logit bias", PLAIN, "Learned number that a sigmoid loss adds to all logits."),
    Declaration("logit_bias/<scale>", "logit bias", PLAIN, "One of a model's several logit biases.", "{scale}"),
    Declaration("loss", "loss on training batches", Scale("nats", better="lower"),
        "Loss of a training step, in nats for InfoNCE; the final number is the mean over the last epoch.",
        short="loss"),
    Declaration("validation/loss", "loss on append rows", Scale("nats", better="lower"),
        "Loss over the held-out append rows; the final number is the lowest, whose weights are kept.",
        short="validation loss"),
    Declaration("validation/epoch", "epoch of the kept weights", Scale("epochs"),
        "Epoch at which the loss over the held-out append rows was lowest."),
    Declaration("information/infonce_bound", "InfoNCE bound of I(X; Y)", Scale("nats", better="higher"),
        "log N − L over the N held-out rows, a lower bound of the mutual information; at most log N."),
    Declaration("information/held_out", "InfoNCE bound of I(X; Y) at the best τ", Scale("nats", better="higher"),
        "InfoNCE bound of half the held-out rows at the τ that suits the other half; at most log(N/2).",
        short="InfoNCE, best τ"),
    Declaration("information/nwj", "NWJ bound of I(X; Y)", Scale("nats", better="higher"),
        "Bound of Nguyen, Wainwright and Jordan with s / τ + c, fitted on half the held-out rows, taken on the other.",
        short="NWJ"),
    Declaration("information/smile", "SMILE estimate of I(X; Y)", Scale("nats"),
        "Estimate of Song and Ermon with a clipped partition function; it may be too large.", short="SMILE"),
    Declaration("information/copula", "Gaussian-copula estimate of I(X; Y)", Scale("nats"),
        "−½ Σ log(1 − ρ²) along held-out canonical directions with Gaussian marginals; it may be too large.",
        short="Gaussian copula"),
    Declaration("information/ksg", "KSG estimate of I(X; Y)", Scale("nats"),
        "Nearest-neighbour estimate of Kraskov and others along held-out canonical directions; small where I is large.",
        short="KSG"),
    Declaration("alignment/cosine", "mean cosine of pairs", HIGHER,
        "Mean cosine of positive pairs, at most 1; the paper's alignment is its negative."),
    Declaration("similarity/<pairs>", "mean similarity", PLAIN,
        "Mean similarity as the loss sees it, of positive pairs or of random ones."),
    Declaration("similarity/histogram_<pairs>", "similarity", PLAIN,
        "Histogram of the similarities behind the mean; only in W&B.", "histogram, {pairs} pairs"),
    Declaration("modality_gap", "modality gap", FROM_ZERO,
        "Distance between the mean directions of the two modalities, between 0 and 2."),
    Declaration("distribution_gap", "distribution gap", FROM_ZERO,
        "Energy distance of the two modalities' directions, at most 4, about 0 where they are distributed alike."),
    Declaration("spectrum/participation_ratio/<side>", "participation ratio", DIMENSIONS,
        "(Σ λ)² / Σ λ² of the covariance's eigenvalues λ: d if all are equal, 1 if one has all the variance.",
        standard_error=True),
    Declaration("spectrum/effective_rank/<side>", "effective rank", DIMENSIONS,
        "Exponential of the entropy of the singular values, each divided by their sum (RankMe).",
        standard_error=True),
    Declaration("spectrum/components_<share>pct/<side>", "principal components needed", DIMENSIONS,
        "Fewest principal components that hold this share of the variance.",
        "{share} % of the variance", "components for {share} %", standard_error=True),
    Declaration("spectrum/histogram_log10_share/<side>", "log₁₀ share of the variance", PLAIN,
        "Histogram of the principal components' shares of the variance; only in W&B.", "histogram"),
    Declaration("jacobian/rank/<side>", "rank of the Jacobian", DIMENSIONS,
        "Numerical rank of the encoder's Jacobian, read at the largest gap of its mean singular values.",
        true_dimension=True),
    Declaration("jacobian/gap/<side>", "gap of the Jacobian", HIGHER,
        "Largest ratio of one mean singular value of the Jacobian to the next; near 1 the rank is uncertain."),
    Declaration("jacobian/participation/<side>", "participation ratio of the Jacobian", DIMENSIONS,
        "Participation ratio of the squared singular values of the encoder's Jacobian."),
    Declaration("jacobian/overlap/<side>", "overlap of the Jacobian with the latent",
        Scale(axis="zero to one", better="higher"),
        "Share of the Jacobian's leading right-singular space in the input directions that carry the latent."),
    Declaration("shared/dimension", "shared dimension", DIMENSIONS,
        "Estimate of k*, the number of dimensions that x and y share; NaN where the spectrum has no clear gap.",
        true_dimension=True),
    Declaration("shared/side/<side>", "shared dimension read off one side", DIMENSIONS,
        "Estimate of k* from the spectrum of one encoder alone.", true_dimension=True),
    Declaration("shared/effective", "effective number of shared dimensions", DIMENSIONS,
        "Fewest values of the consensus spectrum that hold 90 % of its weight; for spectra that decay without a gap."),
    Declaration("shared/interval/<end>", "shared dimension", DIMENSIONS,
        "End of the 95 % interval of the shared dimension, or of the effective number where no gap is clear.",
        "{end} end of the interval"),
    Declaration("shared/gap", "gap of the consensus spectrum", HIGHER,
        "Ratio of the value before the gap to the next, both sides together; the largest ratio where no gap is clear."),
    Declaration("shared/later_gap", "largest ratio behind the gap", PLAIN,
        "Largest ratio of consecutive values behind the gap; near 1 where its place is certain."),
    Declaration("shared/null_gap", "largest ratio on shuffled pairs", PLAIN,
        "Largest ratio of consecutive values where the pairs are shuffled and nothing is shared."),
    Declaration("shared/top_1", "held-out matching of the estimate", PAIRS_SHARE,
        "Share of held-out pairs that the estimate's own encoders match best, mean of both ways."),
    Declaration("shared/p_value", "p-value of the held-out matching", Scale(axis="zero to one", better="lower"),
        "Probability of such a held-out similarity of partners if nothing is shared, by permutation."),
    Declaration("shared/agreement", "bootstrap draws that agree", Scale("share of draws", "zero to one", "higher"),
        "Share of the bootstrap draws that name the same shared dimension."),
    Declaration("shared/threshold", "least ratio that counts as a gap", PLAIN,
        "Ratio of consecutive values that a gap must have, set by trainings on shuffled pairs."),
    Declaration("shared/chance", "held-out matching by guessing", PAIRS_SHARE,
        "Share of held-out pairs that guessing would match."),
    Declaration("shared/z", "held-out similarity of partners", Scale("standard deviations", better="higher"),
        "Mean standardised similarity of held-out partners, in standard deviations of its permutations."),
    Declaration("shared/information", "InfoNCE bound of the estimate", Scale("nats", better="higher"),
        "Lower bound of the mutual information of held-out pairs, at the τ that suits other held-out pairs."),
    Declaration("shared/tau", "temperature of the estimate's bound", Scale(axis="log"),
        "The τ that suits held-out pairs, mean of two halves."),
    Declaration("shared/ceiling", "ceiling of the estimate's bound", Scale("nats"),
        "Mean log of the number of held-out pairs in either half, which the bound cannot exceed."),
    Declaration("consensus/rank", "consensus rank", DIMENSIONS,
        "Dimensions that all replicates' encoders agree on: the last clear gap in the spectrum of their mean metric.",
        true_dimension=True),
    Declaration("consensus/gap", "gap of the consensus", HIGHER,
        "Ratio of one root eigenvalue of the replicates' mean metric to the next at the consensus rank."),
    Declaration("consensus/rank/<side>", "consensus rank of one encoder", DIMENSIONS,
        "Consensus rank of one of three or more encoders, by its own metric."),
    Declaration("consensus/gap/<side>", "gap of one encoder's consensus", HIGHER,
        "Ratio of one root eigenvalue to the next at the consensus rank of one of three or more encoders."),
    Declaration("recovery/<regression>/<side>", "R² of the latent", Scale("R²", better="higher"),
        "Cross-validated R² of predicting the true latent: 1 is perfect, 0 no better than the mean.",
        "{regression}"),
    Declaration("recovery/<regression>/<latents>/<side>", "R² of one block of the latent", Scale("R²", better="higher"),
        "Cross-validated R² of predicting the part of the latent that the named modalities share, and no others.",
        "{regression}, shared by {latents}"),
    Declaration("classification/<classifier>/<set>/<side>", "classification accuracy",
        Scale("accuracy", "zero to one", "higher"),
        "Accuracy of a classifier of this label set on the representations.", "{classifier}, {set}"),
    Declaration("sufficient_dimension/<basis>", "dimensions that keep 99 % of recall", DIMENSIONS,
        "Fewest directions of a basis, principal or canonical, or first coordinates (prefix) that keep 99 % of recall.",
        "{basis} directions"),
    Declaration("norm/<side>", "mean norm of encoder outputs", FROM_ZERO,
        "Mean Euclidean norm of the encoders' own outputs."),
    Declaration("relative_norm/<side>", "mean norm in the loss", FROM_ZERO,
        "Mean norm as the loss sees it; 1 under the population norm if the append rows represent the held-out ones."),
    Declaration("uniformity/<side>", "uniformity", Scale(better="lower"),
        "log E exp(−2 ‖u − v‖²) over pairs of directions u, v: 0 if all are the same, lower if they spread."),
)

PLACEHOLDERS = {
    **dict.fromkeys(("estimator", "basis"), "[^/]+"), **dict.fromkeys(("α", "share"), r"[\d.e+-]+"),
    "k": r"\d+", "set": ".+", "scale": ".+", "side": "|".join(MODALITIES), "latents": "[a-z]{2,}",
    "end": "low|high", "direction": "|".join(FURTHER_DIRECTIONS), "pairs": "|".join(PAIRS),
    "regression": "|".join(REGRESSIONS), "classifier": "|".join(CLASSIFIERS),
}
# fmt: on
