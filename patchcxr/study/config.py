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
from patchcxr.training.fit import TrainConfig


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
    """Segmentation of heart and lungs (Oh 2020, section II.A).

    ``sources`` limits the films that train it; None takes every film with
    masks of both lungs and the heart. ``class_weights`` are the lambda of
    eq. 2.
    """

    model: ModelConfig = ModelConfig(architecture="fc_densenet103", num_classes=4)
    image_size: int = 256
    sources: tuple[str, ...] | None = None
    class_weights: str = "balanced"
    minimum_share: float = 0.05
    train: TrainConfig = TrainConfig(batch_size=2, learning_rate=1e-4, scheduler="plateau")


@config
class InfectionConfig:
    """Segmentation of the infection (Degerli 2021) and detection by the infection map.

    A study trains this network when its class is in ``positive`` and it has
    an infection mask, or when its class is any other one: then it is a
    control, and its target is empty whatever lesions it shows.
    """

    model: ModelConfig = ModelConfig(architecture="smp_unet", num_classes=1, encoder="densenet121")
    image_size: int = 224
    sources: tuple[str, ...] | None = None
    positive: tuple[str, ...] = ("viral",)
    within_lungs: bool = False
    train: TrainConfig = TrainConfig(batch_size=32, learning_rate=1e-4, epochs=50)
    detection: DetectionConfig = DetectionConfig()


@config
class ClassifierConfig:
    """The global or the local classifier: network, weights and recipe."""

    model: ModelConfig = ModelConfig(architecture="resnet18", num_classes=4)
    image_size: int = 224
    class_weights: str = "balanced"
    patches_per_film: int = 4
    train: TrainConfig = TrainConfig(batch_size=16, learning_rate=1e-5)


@config
class ClassificationConfig:
    """Global and local classification of the masked films (Oh 2020, section II.B).

    ``lungs`` names the masks that cut out the lungs: ``predicted`` by the
    anatomy network, or the readers' (``true``). ``region`` says what of the
    film the classifiers see: ``mask`` (film times lung mask, the paper's),
    ``crop`` (the rectangle round the lungs with a border of 2.5 %, as Hertel
    2022 after Tabik 2020) or ``whole``; patches are centred in the lungs
    whichever it is.
    """

    labels: str = "four_class"
    sources: tuple[str, ...] | None = None
    lungs: Literal["predicted", "true"] = "predicted"
    region: Literal["mask", "crop", "whole"] = "mask"
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
