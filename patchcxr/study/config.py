"""The configuration of a whole study: one YAML file, one dataclass a stage."""

from __future__ import annotations

from typing import Literal

from patchcxr.config import config
from patchcxr.data.labels import SCHEMES
from patchcxr.data.synthetic import SyntheticConfig
from patchcxr.errors import ConfigError
from patchcxr.inference.infection import DetectionConfig
from patchcxr.inference.voting import VoteConfig
from patchcxr.models.registry import ModelConfig
from patchcxr.preprocessing.intensity import PreprocessConfig
from patchcxr.training.losses import check_loss
from patchcxr.training.recipe import TrainConfig


@config
class CohortConfig:
    """Where the films come from: exactly one of the three, and how they are split.

    Attributes
    ----------
    synthetic
        Generate the synthetic cohort.
    sources
        Public data sets by name (see :data:`patchcxr.data.sources.SOURCES`),
        each with its folder; ``${PATCHCXR_DATA}`` and other environment
        variables are expanded.
    table
        Path of a cohort table (CSV or Parquet).
    fractions
        Shares of the patients in the training, validation and test split
        (Oh 2020, Table III: 0.7, 0.1, 0.2).
    keep_split
        Use the ``split`` column of ``table`` as it is.
    """

    synthetic: SyntheticConfig | None = None
    sources: dict[str, str] | None = None
    table: str | None = None
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    keep_split: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("synthetic", "sources", "table") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"cohort: got {given or 'nothing'}; give exactly one of synthetic, sources and table")
        if self.keep_split and self.table is None:
            raise ConfigError("cohort: keep_split needs a table with a split column; set table or remove keep_split")


@config
class AnatomyConfig:
    """Segmentation of heart and lungs (Oh 2020, section II.A), or of the lungs alone (Tahir 2021; Hertel 2022).

    Attributes
    ----------
    target
        ``anatomy``: heart, left and right lung, a class each
        (``num_classes: 4``). ``lungs``: both lungs as one mask, from
        ``lung_mask`` or from both sides, with a softmax (``num_classes: 2``)
        or a sigmoid (``num_classes: 1``).
    loss
        A key of :data:`patchcxr.training.losses.SEGMENTATION_LOSSES`.
    sources
        Limits the films that train it; None takes every film with the masks
        of the target.
    class_weights
        The lambda of Oh's eq. 2, for the loss ``cross_entropy``.
    whole_lungs
        Sources whose lungs include the part behind the heart; with any, their
        films train the network too, which then tells
        :data:`patchcxr.types.PARTITION` apart (``num_classes: 6``), without
        weights. For the target ``anatomy``.
    minimum_share
        Regions under this share of a structure are removed (Tahir 2021, section 3.2).
    """

    model: ModelConfig = ModelConfig(architecture="fc_densenet103", num_classes=4)
    target: Literal["anatomy", "lungs"] = "anatomy"
    loss: str = "cross_entropy"
    image_size: int = 256
    sources: tuple[str, ...] | None = None
    class_weights: str = "balanced"
    whole_lungs: tuple[str, ...] = ()
    minimum_share: float = 0.05
    train: TrainConfig = TrainConfig(batch_size=2, learning_rate=1e-4, scheduler="plateau")

    def __post_init__(self) -> None:
        if self.target == "lungs" and self.whole_lungs:
            raise ConfigError(
                f"anatomy.whole_lungs: got {', '.join(self.whole_lungs)} with target: lungs, which takes the lungs of "
                "every source as they were drawn; remove whole_lungs, or set sources to those of one convention"
            )
        channels = self.model.num_classes
        expected = (1, 2) if self.target == "lungs" else (6,) if self.whole_lungs else (4,)
        if channels not in expected:
            raise ConfigError(
                f"anatomy.model.num_classes: got {channels}; expected {' or '.join(map(str, expected))} for "
                f"target: {self.target}{' with whole_lungs' if self.whole_lungs else ''}"
            )
        if self.target == "anatomy" and self.train.augment is not None and self.train.augment.horizontal_flip:
            raise ConfigError(
                "anatomy.train.augment.horizontal_flip: got true with target: anatomy, in which left and right lung "
                "are classes that a mirrored film swaps; set it to false, or train with target: lungs"
            )
        check_loss(self.loss, channels, "anatomy")


@config
class InfectionConfig:
    """Segmentation of the infection (Degerli 2021; Tahir 2021) and detection by the infection map.

    A study trains this network when its class is in ``positive`` and it has
    an infection mask, or when its class is any other one: then it is a
    control, and its target is empty whatever lesions it shows.

    Attributes
    ----------
    loss
        A key of :data:`patchcxr.training.losses.SEGMENTATION_LOSSES`; the
        network has one channel with a sigmoid (Degerli 2021), or two with a
        softmax (Tahir 2021).
    input
        ``plain``: the film (Degerli; Tahir's parallel scheme).
        ``masked_lungs``: the film with 0 outside the lungs (Tahir's cascaded
        scheme, section 4.2).
    """

    model: ModelConfig = ModelConfig(architecture="smp_unet", num_classes=1, encoder="densenet121")
    loss: str = "hybrid"
    input: Literal["plain", "masked_lungs"] = "plain"
    image_size: int = 224
    sources: tuple[str, ...] | None = None
    positive: tuple[str, ...] = ("viral",)
    within_lungs: bool = False
    train: TrainConfig = TrainConfig(batch_size=32, learning_rate=1e-4, epochs=50)
    detection: DetectionConfig = DetectionConfig()

    def __post_init__(self) -> None:
        channels = self.model.num_classes
        if channels not in (1, 2):
            raise ConfigError(
                f"infection.model.num_classes: got {channels}; expected 1 (a sigmoid) or 2 (background and infection)"
            )
        check_loss(self.loss, channels, "infection")


@config
class ClassifierConfig:
    """The global or the local classifier: network, weights, recipe, and the share of training patients.

    With a ``training_share`` below 1 the classifier learns from so many of the
    training patients of each class, at least one (Oh 2020, Fig. 12). Smaller
    shares are parts of larger ones; validation and test stay as they are.
    """

    model: ModelConfig = ModelConfig(architecture="resnet18", num_classes=4)
    image_size: int = 224
    class_weights: str = "balanced"
    patches_per_film: int = 4
    training_share: float = 1.0
    train: TrainConfig = TrainConfig(batch_size=16, learning_rate=1e-5)

    def __post_init__(self) -> None:
        if not 0 < self.training_share <= 1:
            raise ConfigError(f"training_share: got {self.training_share}; expected a share above 0 and at most 1")


@config
class ClassificationConfig:
    """Global and local classification of the masked films (Oh 2020, section II.B).

    ``lungs`` names the masks that cut out the lungs: ``predicted`` by the
    anatomy network, or the readers' (``true``). ``region`` says what of the
    film the classifiers see: ``mask`` (film times lung mask, the paper's),
    ``crop`` (the rectangle round the lungs with a border of 2.5 %, as Hertel
    2022 after Tabik 2020), ``whole``, or ``lungs_only`` (the mask in place of
    the film); patches are centred in the lungs whichever it is.
    ``shuffled_labels`` deals the labels of the training films out anew among
    them, for a network that can learn nothing but the films by heart: its maps
    are those to compare with (``patchcxr sanity --random-labels``).
    """

    labels: str = "four_class"
    sources: tuple[str, ...] | None = None
    lungs: Literal["predicted", "true"] = "predicted"
    region: Literal["mask", "crop", "whole", "lungs_only"] = "mask"
    shuffled_labels: bool = False
    global_classifier: ClassifierConfig = ClassifierConfig()
    local_classifier: ClassifierConfig = ClassifierConfig()
    vote: VoteConfig = VoteConfig()

    def __post_init__(self) -> None:
        if self.labels not in SCHEMES:
            raise ConfigError(f"classification.labels: got {self.labels!r}; expected one of {sorted(SCHEMES)}")


@config
class ExplanationConfig:
    """Saliency maps of one class on the test films, measured against the infection masks.

    ``map_size`` is the side in pixels at which all maps are compared.
    """

    target: str = "viral"
    map_size: int = 256
    normalization: str = "minmax"


@config
class BiomarkerConfig:
    """Biomarkers and their tests (Oh 2020, section III.B)."""

    measures: tuple[str, ...] = ("lung_mean", "lung_std", "cardiothoracic_ratio")
    correction: Literal["holm", "fdr_bh", "none"] = "holm"
    exclude_views: tuple[str, ...] = ("AP Supine",)
    sources: tuple[str, ...] | None = None


@config
class ReportConfig:
    """What the report shows."""

    examples: int = 6
    formats: tuple[str, ...] = ("png", "svg")
    bootstrap_resamples: int = 1000


@config
class StudyConfig:
    """A whole study."""

    title: str
    cohort: CohortConfig
    seed: int = 0
    preprocessing: PreprocessConfig = PreprocessConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    infection: InfectionConfig = InfectionConfig()
    classification: ClassificationConfig = ClassificationConfig()
    explanation: ExplanationConfig = ExplanationConfig()
    biomarkers: BiomarkerConfig = BiomarkerConfig()
    report: ReportConfig = ReportConfig()

    def __post_init__(self) -> None:
        classes = SCHEMES[self.classification.labels].classes
        for name in (*self.infection.positive, self.explanation.target):
            if name not in classes:
                raise ConfigError(
                    f"infection.positive and explanation.target: got {name!r}; expected classes of the label scheme "
                    f"{self.classification.labels!r}: {', '.join(classes)}"
                )
