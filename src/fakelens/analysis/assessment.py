"""Measures how far a person's verdict and heatmaps can be trusted, on a few of the faces."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.domain import check_domain
from fakelens.analysis.verdicts import apply_assessment, median_size, person_logit
from fakelens.explain.cam import METHODS, CamMethod
from fakelens.explain.regions import mean_evidence, region_shares
from fakelens.faces.crops import crop_area
from fakelens.faces.sampler import FaceSample
from fakelens.media.prefetch import prefetch
from fakelens.models.batching import stack_batches
from fakelens.records.arrays import FloatArray, RGBImage, log_odds
from fakelens.records.findings import DomainCheck, Finding, Verdict
from fakelens.records.models import Baseline, Evidence, Model, Thresholds
from fakelens.records.report import Heatmaps
from fakelens.records.tracks import Track
from fakelens.records.trust import (
    Ablation,
    Assessment,
    Faithfulness,
    Specificity,
    TrustMark,
)
from fakelens.trust.ablation import join_evidence, select_rows, working_head
from fakelens.trust.controls import (
    FORGERIES_PER_SAMPLE,
    count_named_parts,
    forged_crops,
    masks_to_cells,
    measure_controls,
)
from fakelens.trust.faithfulness import MIN_CELLS, measure_faithfulness
from fakelens.trust.region_ablation import ablate_regions
from fakelens.trust.robustness import (
    MAX_FACES,
    PERTURBATIONS,
    RECOMPRESSED,
    measure_robustness,
    variants,
)
from fakelens.trust.specificity import measure_specificity

_BATCH = 8  # crops per model call; larger batches are slower
_MAX_STRONGEST = 5
_NOT_SEEN_WELL = (
    "the reliability of the score and the heatmap was not measured: the person is not seen well "
    "enough for a verdict"
)
_TOO_FEW_FACES = "too few good faces to measure the reliability: {}, at least {} are needed"
MIN_FACES = 3
"""Usable faces of a person in a video below which nothing is measured."""

_MIN_SPACING = 0.5  # between two of the strongest frames, seconds


@dataclass(frozen=True, slots=True)
class Assessor:
    """Runs the trust measures for one person at a time.

    Attributes:
        model: the detector model.
        method: of the heatmaps.
        thresholds: scores at which a verdict changes, as used.
        ablation: method used to test heatmap faithfulness.
    """

    model: Model
    method: CamMethod
    thresholds: Thresholds
    ablation: Ablation = "features"

    def assess(
        self,
        finding: Finding,
        track: Track,
        heatmaps: Heatmaps,
        samples: Sequence[FaceSample],
        *,
        still: bool = False,
    ) -> Finding:
        """Add an assessment to a finding, and withdraw a verdict that it does not support.

        Args:
            finding: on the track.
            track: of one person.
            heatmaps: indexed by the rows in ``track.heatmaps``.
            samples: usable faces of the person; without any, nothing is measured. There is no
                likelihood ratio then if the model has a domain that would have to be checked.
            still: whether the input is a still picture. In a video, nothing is measured on fewer
                than ``MIN_FACES`` usable faces, and a reason of the finding says so.
        """
        person = person_logit(track)
        if not samples or person is None:
            unchecked = self.model.card.domain is not None
            return replace(finding, log10_likelihood_ratio=None) if unchecked else finding
        if not (finding.seen_well or still) and finding.usable < MIN_FACES:
            reason = _TOO_FEW_FACES.format(finding.usable, MIN_FACES)
            return replace(finding, reasons=(*finding.reasons, reason))
        card = self.model.card
        # Without a verdict, only the difference from the baseline is of use, and one face is enough
        # for it: a crowd has a hundred people who are seen for a moment.
        seen_well = finding.seen_well
        samples = samples if seen_well else samples[:1]
        spread = np.linspace(0, len(samples) - 1, min(len(samples), MAX_FACES)).round().astype(int)
        tested = [samples[index] for index in spread] if seen_well else []
        with_landmarks = all(sample.face.landmarks is not None for sample in samples)
        masks: list[NDArray[np.bool_]] = []
        crops = np.stack([sample.crop(card) for sample in samples])
        evidence = self._examine(
            iter(crops),
            variants(tested, card),
            forged_crops(tested, card, masks) if with_landmarks else iter(()),
        )
        maps = self.method.function(evidence)
        own = select_rows(evidence, slice(len(crops)))
        faithfulness, robustness, controls = None, None, None
        if tested:
            faithfulness = measure_faithfulness(
                self.model, crops, own, maps[: len(crops)], self.method, self.ablation
            )
            forged_start = len(crops) + len(PERTURBATIONS) * len(tested)
            unforged = np.repeat(spread, FORGERIES_PER_SAMPLE)
            robustness = measure_robustness(
                person, evidence.logit[spread], evidence.logit[len(crops) : forged_start]
            )
            if with_landmarks:
                changes = maps[forged_start:] - maps[unforged]
                controls = measure_controls(
                    person,
                    log_odds(robustness.scores[RECOMPRESSED]),
                    evidence.logit[forged_start:] - evidence.logit[unforged],
                    changes if self._shows_fake else None,
                    masks_to_cells(masks, (maps.shape[1], maps.shape[2])),
                    (self.thresholds, card.thresholds),
                )
                if self._baseline:
                    named = count_named_parts(tested, card, self._baseline, changes)
                    controls = replace(controls, parts_named=named)
        mean = mean_evidence(track, heatmaps)
        assessment = Assessment(
            faithfulness=faithfulness,
            robustness=robustness,
            controls=controls,
            regions=None,
            agreement=mean.agreement if mean else None,
            strongest=_strongest_frames(track),
            notes=tuple(self._notes(maps.shape[1:], faithfulness, with_landmarks=with_landmarks))
            if seen_well
            else (_NOT_SEEN_WELL,),
            specificity=self._measure_specificity(samples, own, maps[: len(crops)], faithfulness),
        )
        domain = self._check_domain(track, samples, crops, own) if seen_well else None
        finding = replace(finding, assessment=assessment, domain=domain)
        finding = apply_assessment(finding, self.thresholds)
        if finding.verdict is not Verdict.FAKE or not with_landmarks or not self._shows_fake:
            return finding
        specificity = assessment.specificity
        regions = ablate_regions(
            self.model,
            person,
            samples,
            own,
            region_shares(track, heatmaps),
            specificity.parts if specificity else None,
        )
        return replace(finding, assessment=replace(assessment, regions=regions))

    @property
    def _baseline(self) -> Baseline | None:
        """Baseline of the model, if it is one for the heatmap method in use."""
        baseline = self.model.card.baseline
        return baseline if baseline and baseline.cam == self.method.name else None

    def _measure_specificity(
        self,
        samples: Sequence[FaceSample],
        evidence: Evidence,
        maps: FloatArray,
        faithfulness: Faithfulness | None,
    ) -> Specificity | None:
        """Compare the heatmaps with the baseline, if there is one and it can be tested."""
        places = [
            (sample.face.landmarks, crop_area(sample.face, self.model.card.crop))
            for sample in samples
            if sample.face.landmarks is not None
        ]
        if self._baseline is None or len(places) < len(samples):
            return None
        head = working_head(self.model, evidence)
        if head is None:
            return None
        faithful = faithfulness is not None and faithfulness.mark is not TrustMark.CHANCE
        return measure_specificity(head, self._baseline, places, evidence, maps, faithful=faithful)

    def _check_domain(
        self,
        track: Track,
        samples: Sequence[FaceSample],
        crops: NDArray[np.uint8],
        evidence: Evidence,
    ) -> DomainCheck | None:
        """Compare the conditions with those of the validation data, if the card has them."""
        domain = self.model.card.domain
        if domain is None:
            return None
        landmarks = [s.face.landmarks for s in samples if s.face.landmarks is not None]
        return check_domain(domain, median_size(track), list(crops), landmarks, evidence)

    @property
    def _shows_fake(self) -> bool:
        """Whether positive cells of the heatmaps are evidence for fake."""
        return self.method.positive == "fake"

    def _examine(self, *crops: Iterator[RGBImage]) -> Evidence:
        """Run the model on all crops, which are made in another thread at the same time."""
        with closing(prefetch(stack_batches(chain(*crops), _BATCH), 1)) as batches:
            return join_evidence([self.model.examine(batch) for batch in batches])

    def _notes(
        self, shape: Sequence[int], faithfulness: Faithfulness | None, *, with_landmarks: bool
    ) -> Iterator[str]:
        """Yield what was not measured, and why.

        Args:
            shape: of the heatmaps, (h, w).
            faithfulness: ``None`` if it was not measured.
            with_landmarks: whether all samples have landmarks.
        """
        if faithfulness is None and np.prod(shape) < MIN_CELLS:
            yield (
                "heatmap faithfulness was not measured: "
                f"the heatmap has too few cells ({shape[0]} x {shape[1]})"
            )
        elif faithfulness is None:
            yield (
                "heatmap faithfulness was not measured: "
                "the part of the model after the explained layer cannot run on its own"
            )
        if not with_landmarks:
            yield (
                "face regions and controls were not measured, and the heatmap was not compared "
                "with those of genuine faces: the face detector has no landmarks"
            )
        elif not self._shows_fake:
            yield (
                f"face regions were not measured: {self.method.title} does not show evidence for "
                "fake"
            )
        baseline = self.model.card.baseline
        if with_landmarks and baseline is not None and self._baseline is None:
            yield (
                "the heatmap was not compared with those of genuine faces: the model has these for "
                f"{METHODS[baseline.cam].title if baseline.cam in METHODS else baseline.cam} only"
            )


def _strongest_frames(track: Track) -> tuple[int, ...]:
    """Select the usable frames with the most evidence for fake, spaced apart in time."""
    rows = np.flatnonzero(track.usable)
    selected: list[int] = []
    for row in rows[np.argsort(-track.logits[rows], kind="stable")]:
        if all(abs(track.times[row] - track.times[other]) >= _MIN_SPACING for other in selected):
            selected.append(int(row))
        if len(selected) == _MAX_STRONGEST:
            break
    return tuple(int(track.frames[row]) for row in selected)
