"""A classifier that was fitted to images or rows of the user's own, and what is kept of it."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from metarl.fewshot.classifier import Classifier
from metarl.fewshot.data.image_files import FolderImages
from metarl.files import replacing
from metarl.runs.evaluate import write_json

SHOWN = 20  # predictions printed


@dataclass(frozen=True, kw_only=True)
class AdaptedClassifier:
    """A classifier that was fitted to a support set."""

    classifier: Classifier
    record: dict[str, Any]
    """The content of ``adaptation.json``."""
    query: FolderImages | None = None
    """What it is to classify."""

    def __repr__(self) -> str:
        return f"<AdaptedClassifier of {', '.join(map(str, self.classifier.class_names))}>"

    def predict(self, x: Tensor) -> list[str]:
        """Names of the most probable classes of examples, see :func:`checked_examples`."""
        return self.classifier.predict(x)

    def save(self, path: str | Path) -> None:
        """Write the classifier to a file that :func:`metarl.load_classifier` reads."""
        self.classifier.save(Path(path))

    def keep(self, folder: Path) -> list[str]:
        """Write classifier, figures and predictions; lines that say what came of it."""
        path = folder / "classifier.pt"
        self.save(path)
        lines: list[str] = []
        record = self.record
        if self.query is not None:
            found, lines = self._classify(self.query, folder / "predictions.csv")
            record = record | found
        write_json(folder / "adaptation.json", record)
        if record["head"] != "own":
            lines.append(f"head: {record['head']}{' (transductive)' * record['transductive']}")
        return [*lines, f"batch norm: {record['norm']}", f"adapted classifier: {path}"]

    def _classify(self, query: FolderImages, target: Path) -> tuple[dict[str, Any], list[str]]:
        """Write the classes of the queries; the accuracy too where they are known."""
        probability, chosen = self.classifier.probabilities(query.images).max(-1)
        names = [self.classifier.class_names[index] for index in chosen.tolist()]
        shares = [round(share, 4) for share in probability.tolist()]
        rows = list(zip(map(str, query.paths), names, shares, strict=True))
        # names that are no UTF-8 go to the file as they are on the disk
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("image", "class", "probability"), *rows])
        with replacing(target) as file:
            file.write(text.getvalue().encode(errors="surrogateescape"))
        lines = [f"{image}: {name} ({share:.2f})" for image, name, share in rows[:SHOWN]]
        if len(rows) > SHOWN:
            lines.append(f"... {len(rows) - SHOWN} more in {target}")
        lines.append(f"predictions: {target}")
        if not query.labels:
            return {"queries": len(rows)}, lines
        right = [name == label for name, label in zip(names, query.labels, strict=True)]
        accuracy = sum(right) / len(right)
        lines.append(f"accuracy on {len(right)} labelled queries: {100 * accuracy:.1f} %")
        return {"queries": len(rows), "accuracy": accuracy}, lines
