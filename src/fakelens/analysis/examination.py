"""What belongs to one model in an analysis: its heatmaps, tracks, verdicts and trust measures."""

from dataclasses import replace

import numpy as np

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.face_crops import FaceCrop, FrameFaces
from fakelens.analysis.fragments import Look, find_fragments, make_look
from fakelens.analysis.provenance import collect_provenance
from fakelens.analysis.track_table import TrackTable
from fakelens.analysis.verdicts import judge_track
from fakelens.explain.cam import find_method
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import mean_face
from fakelens.faces.sampler import FaceSample
from fakelens.media.frames import MediaReader
from fakelens.media.images import encode_jpeg
from fakelens.media.profile import Profile
from fakelens.media.source_file import SourceFile
from fakelens.models.checks import check_evidence
from fakelens.records.faces import FaceDetector
from fakelens.records.findings import Finding
from fakelens.records.media import VideoInfo
from fakelens.records.models import Model, Thresholds
from fakelens.records.report import Report
from fakelens.records.settings import Settings

_EXAMINE = "model and heatmaps"
_ASSESS = "verdicts and trust measures"


class Examination:
    """Examines the faces of one input with one model, frame by frame, and reports on them.

    Args:
        model: the detector model.
        settings: of the analysis.
        video: properties of the input.
        heatmaps: empty; heatmaps are added to it.
        profile: collects the time spent in each stage.

    Raises:
        UsageError: no such heatmap method.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        video: VideoInfo,
        heatmaps: HeatmapStore,
        profile: Profile,
    ) -> None:
        self._model, self._settings, self._video = model, settings, video
        self._heatmaps, self._profile = heatmaps, profile
        self._method = find_method(settings.cam or model.card.cam)
        self._thresholds = _thresholds(model.card.thresholds, settings.threshold)
        self._assessor = Assessor(model, self._method, self._thresholds, settings.ablation)
        self._table = TrackTable()
        self._findings: dict[int, Finding] = {}
        self._mean_faces: dict[int, bytes] = {}
        self._looks: dict[int, Look] = {}
        self._pending: list[FaceCrop] = []

    def add(self, faces: FrameFaces) -> None:
        """Examine the faces of the next frame, in batches, and judge the people who have left.

        Raises:
            ModelError: the model cannot be run.
            OutputError: the heatmaps cannot be written.
        """
        self._pending += faces.crops
        size = self._settings.batch
        # A person is judged once all their faces have been examined.
        while len(self._pending) >= size or (self._pending and faces.finished):
            batch, self._pending = self._pending[:size], self._pending[size:]
            with self._profile.measure(_EXAMINE):
                self._examine(batch)
        for person, samples in faces.finished:
            with self._profile.measure(_ASSESS):
                self._conclude(person, samples)

    def report(self, source: SourceFile, reader: MediaReader, detector: FaceDetector) -> Report:
        """Return the report once all frames have been added."""
        tracks = self._table.tracks()
        same = find_fragments(tracks, self._looks)
        return Report(
            source=source.path,
            signature=source.signature,
            video=reader.info,
            frames=reader.decoded,
            damage=tuple(reader.damage),
            model=self._model.card,
            settings=self._settings,
            cam=self._method.name,
            thresholds=self._thresholds,
            tracks=tracks,
            findings=tuple(
                replace(self._findings[track.person], possibly_same_as=same.get(track.person))
                for track in tracks
            ),
            heatmaps=self._heatmaps,
            provenance=collect_provenance(source, self._model, detector),
            mean_faces=self._mean_faces,
        )

    def _examine(self, batch: list[FaceCrop]) -> None:
        """Run the model on a batch of crops, and store the heatmaps and observations."""
        evidence = self._model.examine(np.stack([crop.pixels for crop in batch]))
        check_evidence(evidence, len(batch), self._model.card.name)  # it may be user-defined
        maps = self._method.function(evidence)
        rows = self._heatmaps.append(maps)
        for crop, logit, heatmap, row in zip(batch, evidence.logit, maps, rows, strict=True):
            self._table.add(crop, float(logit), heatmap, row)

    def _conclude(self, person: int, samples: list[FaceSample]) -> None:
        """Judge a person, and measure how far that can be trusted."""
        track, still = self._table.track(person), self._video.is_picture
        finding = judge_track(
            track,
            self._thresholds,
            self._model.card.calibration,
            still=still,
            smallest_face=self._model.card.smallest_face,
            start=float(self._video.start),
        )
        self._findings[person] = self._assessor.assess(
            finding, track, self._heatmaps, samples, still=still
        )
        if (look := make_look(samples)) is not None:
            self._looks[person] = look
        if finding.interval or still:
            pictures = [(sample.image, sample.face.landmarks) for sample in samples]
            known = [(image, points) for image, points in pictures if points is not None]
            if known:
                self._mean_faces[person] = encode_jpeg(mean_face(known))


def _thresholds(of_model: Thresholds, fake: float | None) -> Thresholds:
    """Return the model's thresholds, or those for a fake threshold chosen by the user."""
    if fake is None:
        return of_model
    return Thresholds(fake, min(of_model.real, fake), "chosen by the user")
