"""The readers of the package in one table, each with a sound file; a new reader is one line of it."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom
import torch
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless
from torch import nn

from patchcxr.cli.study import find_config, load_study
from patchcxr.config import load_yaml, save_yaml
from patchcxr.data.boxes import boxes_mask, parse_boxes
from patchcxr.data.cohort import read_cohort
from patchcxr.data.folder import cohort_from_folder
from patchcxr.data.labels import label_scheme, write_scheme
from patchcxr.data.sources import build_source
from patchcxr.inference.voting import VoteConfig
from patchcxr.io.arrays import ArrayFolder
from patchcxr.io.chexlocalize import SaliencyFile, read_saliency, read_segmentations, write_saliency
from patchcxr.io.dicom_facts import read_dicom_header
from patchcxr.io.dicom_seg import read_dicom_seg, write_dicom_seg
from patchcxr.io.dicom_study import taken_from_film
from patchcxr.io.masks import read_mask
from patchcxr.io.radiograph import read_radiograph
from patchcxr.io.rle import encode_rle
from patchcxr.io.saliency_maps import MapFolder
from patchcxr.models.registry import ModelConfig, create_model
from patchcxr.models.state_dicts import read_state_dict
from patchcxr.models.trained import TrainedModel, load_model, save_model
from patchcxr.report.spreadsheet import read_table
from patchcxr.training.fit import LAST, Session
from patchcxr.training.recipe import TrainConfig

Make = Callable[[Path], object]
"""Writes a sound file; what else its reader needs goes beside it."""


@dataclass(frozen=True)
class Reader:
    """A reader, the name of its file, and how often it is given a damaged one."""

    name: str
    file: str
    make: Make
    read: Callable[[Path], Any]
    text: bool = False
    tries: int = 50


def _films() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (40, 48), dtype=np.uint8), rng.integers(0, 4096, (40, 48), dtype=np.uint16)


GREY, DEEP = _films()
BINARY = np.where(GREY > 120, 255, 0).astype(np.uint8)
NETWORK = ModelConfig(architecture="compact_unet", num_classes=1)


def picture(pixels: np.ndarray, **options: Any) -> Make:
    """Writes an image in the format of its suffix: 8 bits by Pillow, 16 by OpenCV."""

    def write(path: Path) -> None:
        if pixels.dtype == np.uint8:
            Image.fromarray(pixels).save(path, **options)
        else:
            path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())

    return write


def dicom(stored: np.ndarray = DEEP, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Make:
    """Writes a film of a made-up patient, plain, by run lengths or as JPEG."""

    def write(path: Path) -> None:
        data = Dataset()
        data.file_meta = FileMetaDataset()
        plain = syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        data.file_meta.TransferSyntaxUID = syntax if plain else ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.5", "1.2.3.6"
        data.Modality, data.PatientName, data.PatientID = "CR", "Somebody", "77"
        data.PatientAge, data.PatientSex, data.ViewPosition, data.StudyDate = "044Y", "F", "PA", "20200102"
        data.WindowCenter, data.WindowWidth, data.PixelSpacing = 2000, 4000, [0.2, 0.2]
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.Rows, data.Columns, data.SamplesPerPixel, data.PixelRepresentation = *stored.shape, 1, 0
        data.PhotometricInterpretation = "MONOCHROME2"
        bits = 8 if stored.dtype == np.uint8 else 16
        data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
        data.add_new("PixelData", "OW", stored.tobytes())
        with pydicom.config.disable_value_validation():
            for name, value in tags.items():
                setattr(data, name, value)
        if syntax == RLELossless:
            data.compress(RLELossless, generate_instance_uid=False)
        elif syntax == JPEGBaseline8Bit:
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = encapsulate([cv2.imencode(".jpg", stored)[1].tobytes()])
            data["PixelData"].VR = "OB"
        data.save_as(path, enforce_file_format=True)

    return write


def segmentation_object(path: Path) -> None:
    dicom()(path.with_name("source.dcm"))
    write_dicom_seg(path, path.with_name("source.dcm"), {"heart": GREY > 200, "left_lung": GREY < 40})


COHORT = pd.DataFrame(
    {
        "study": ["s1", "s2", "s3"],
        "patient": ["p1", "p1", "p2"],
        "image": ["a.png", "b.png", "c.png"],
        "label": ["normal", "viral", "covid19"],
        "age_years": [54.0, 54.0, np.nan],
        "sex": ["F", "F", "M"],
        "fold": pd.array([0, 0, 1], dtype="Int64"),
        "boxes": ["1,2,3,4:Mass|5,6,7,8", "(empty)", ""],
        "lung_mask": ["r.png|l.png", "(empty)", ""],
    }
)
PREDICTIONS = pd.DataFrame(
    {
        "study": [f"s{i}" for i in range(12)],
        "patient": [f"p{i // 2}" for i in range(12)],
        "truth": ["normal", "viral"] * 6,
        "predicted": ["normal", "viral", "viral"] * 4,
        "p_normal": np.linspace(0.1, 0.9, 12),
        "p_viral": 1 - np.linspace(0.1, 0.9, 12),
    }
)


def table_of(table: pd.DataFrame) -> Make:
    return lambda path: table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)


def names_beside(path: Path) -> None:
    """A folder of films with a table that names them."""
    (path.parent / "films").mkdir(exist_ok=True)
    for name in "abc":
        cv2.imwrite(str(path.parent / "films" / f"{name}.png"), GREY)
    COHORT[["study", "image", "label", "age_years"]].to_csv(path, index=False)


def cohort_and_its_cells(path: Path) -> None:
    """Read a cohort and what its cells say of boxes."""
    for cell in read_cohort(path, check_files=False)["boxes"].dropna():
        boxes_mask(parse_boxes(cell), (40, 48), (80, 96))


def network_file(path: Path) -> None:
    save_model(path, TrainedModel(create_model(NETWORK, seed=0).eval(), NETWORK, ("infection",), 64))


def small_weights() -> dict[str, Any]:
    return {"state_dict": OrderedDict(weight=torch.arange(6.0).reshape(2, 3), bias=torch.zeros(2)), "epoch": 3}


def training_state(path: Path) -> None:
    record = Session(nn.Linear(3, 2), TrainConfig(), path.parent, "s").record
    state = {"settings": "s", "module": nn.Linear(3, 2).state_dict(), "record": record.state()}
    torch.save(state, path)


def saliency(path: Path) -> None:
    ramp = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    write_saliency(path, SaliencyFile(ramp, "Edema", (60, 80), 0.4, True))


def segmented(path: Path) -> None:
    entries = {
        "image": {"Edema": encode_rle(BINARY > 0), "Mass": {"size": [40, 48], "counts": [900, 20, 1000]}},
        "drawn": {"img_size": [40, 48], "Mass": [], "Edema": [[[1, 1], [20, 1], [20, 30]]]},
    }
    path.write_text(json.dumps(entries))


def all_segmentations(path: Path) -> None:
    found = read_segmentations(path)
    for image in found.images:
        found.mask(image, ["Edema"])
        found.mask(image, found.findings)


def arrays_by_study(path: Path) -> Any:
    return ArrayFolder(path.parent).load(path.stem)


def source(name: str, sound: str, *films: str, beside: dict[str, str] | None = None) -> dict[str, Any]:
    """File, make and read of the folder of a public data set: its table or record, films, and its other tables."""
    file = SOURCE_FILES[name]
    above = len(Path(file).parts) - 1

    def write(path: Path) -> None:
        others = {film: cv2.imencode(".png", GREY)[1].tobytes() for film in films}
        for other, content in (others | {other: text.encode() for other, text in (beside or {}).items()}).items():
            (path.parents[above] / other).parent.mkdir(parents=True, exist_ok=True)
            (path.parents[above] / other).write_bytes(content)
        path.write_bytes(sound.encode())

    def read(path: Path) -> Any:
        return build_source(name, path.parents[above], path.parents[above + 1] / "masks")

    return {"file": file, "make": write, "read": read, "text": True, "tries": 8}


SOURCE_FILES = {
    "bimcv": "covid19_posi/sub-S1/ses-E1/mod-rx/sub-S1_ses-E1_run-1_bp-chest_vp-pa_dx.json",
    "cohen": "metadata.csv",
    "covidx": "train_COVIDx9A.txt",
    "darwin": "annotations/1.json",
    "jsrt": "Clinical_Information/CNNDAT_EN.TXT",
    "montgomery": "ClinicalReadings/MCUCXR_0001_0.txt",
    "nih": "labels.csv",
    "padchest": "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
    "ricord": "1c_mdai_annotations_2021.json",
    "rsna": "stage_2_train_labels.csv",
    "tb": "labels.csv",
}
_CORNERS = [{"x": x, "y": y} for x, y in ((2, 2), (30, 2), (30, 30))]
_DARWIN = {
    "image": {"width": 48, "height": 40, "filename": "1.png", "original_filename": "o.jpeg"},
    "annotations": [
        {"name": "Lung", "polygon": {"path": _CORNERS, "additional_paths": [_CORNERS]}},
        {"name": "Viral Pneumonia", "tag": {}},
    ],
}
_RICORD = {
    "labelGroups": [{"id": "G", "name": "adjudication", "labels": [{"id": "L", "name": "Typical Appearance"}]}],
    "datasets": [{"annotations": [{"StudyInstanceUID": "1.2.3", "labelId": "L"}]}],
}
BIMCV_LABELS = "\tPatientID\tReportID\tReport\tLabels\n0\tsub-S1\tses-E1\tt\t['COVID 19']\n"
_BIMCV_FILM = SOURCE_FILES["bimcv"].replace(".json", ".png")

READERS = (
    Reader("film 8-bit PNG", "film.png", picture(GREY), read_radiograph),
    Reader("film 16-bit PNG", "film.png", picture(DEEP), read_radiograph),
    Reader("film palette PNG", "film.png", lambda p: Image.fromarray(GREY).quantize(9).save(p), read_radiograph),
    Reader("film JPEG", "film.jpg", picture(GREY), read_radiograph),
    Reader("film progressive JPEG", "film.jpg", picture(GREY, progressive=True), read_radiograph),
    Reader("film TIFF", "film.tif", picture(GREY), read_radiograph),
    Reader("film 16-bit TIFF", "film.tif", picture(DEEP), read_radiograph),
    Reader("film LZW TIFF", "film.tif", picture(GREY, compression="tiff_lzw"), read_radiograph),
    Reader("film BMP", "film.bmp", picture(GREY), read_radiograph),
    Reader("film GIF", "film.gif", picture(GREY), read_radiograph),
    Reader("film NPY", "film.npy", lambda p: np.save(p, DEEP), read_radiograph),
    Reader(
        "film JSRT", "film.img", lambda p: p.write_bytes(bytes(4194304) + b"\5\1" * 2097152), read_radiograph, tries=8
    ),
    Reader("film DICOM", "film.dcm", dicom(), read_radiograph),
    Reader("film implicit DICOM", "film.dcm", dicom(syntax=ImplicitVRLittleEndian), read_radiograph),
    Reader("film RLE DICOM", "film.dcm", dicom(syntax=RLELossless), read_radiograph),
    Reader("film JPEG DICOM", "film.dcm", dicom(GREY, JPEGBaseline8Bit), read_radiograph),
    Reader("header of DICOM", "film.dcm", dicom(), read_dicom_header),
    Reader("study of DICOM", "film.dcm", dicom(), lambda p: taken_from_film(p, None)),
    Reader("DICOM segmentation", "masks.dcm", segmentation_object, read_dicom_seg),
    Reader("mask PNG", "mask.png", picture(BINARY), read_mask),
    Reader("mask GIF", "mask.gif", picture(BINARY), lambda p: read_mask(f"{p}|{p}", (40, 48))),
    Reader("mask NPY", "mask.npy", lambda p: np.save(p, BINARY > 0), read_mask),
    Reader("folder with DICOM", "film", dicom(), lambda p: cohort_from_folder(p.parent), tries=15),
    Reader(
        "folder with a table",
        "names.csv",
        names_beside,
        lambda p: cohort_from_folder(p.parent / "films", p),
        text=True,
        tries=20,
    ),
    Reader("cohort CSV", "cohort.csv", table_of(COHORT), cohort_and_its_cells, text=True, tries=100),
    Reader("cohort Parquet", "cohort.parquet", table_of(COHORT), cohort_and_its_cells, tries=80),
    Reader("predictions", "predictions.csv", table_of(PREDICTIONS), read_table, text=True, tries=100),
    Reader(
        "study YAML",
        "study.yml",
        lambda p: p.write_bytes(find_config("smoke").read_bytes()),
        lambda p: load_study(str(p), ["seed=1"]),
        text=True,
        tries=15,
    ),
    Reader(
        "vote YAML",
        "vote.yaml",
        lambda p: save_yaml(VoteConfig(), p),
        lambda p: load_yaml(VoteConfig, p),
        text=True,
        tries=100,
    ),
    Reader("label scheme", "s.yaml", lambda p: write_scheme("four_class", p), label_scheme, text=True, tries=80),
    Reader("network", "model.safetensors", network_file, load_model, tries=40),
    Reader("weights .safetensors", "w.safetensors", network_file, read_state_dict, tries=30),
    Reader(
        "weights .pt",
        "w.pt",
        lambda p: torch.save(small_weights(), p),
        read_state_dict,
        tries=100,
    ),
    Reader(
        "weights of old torch",
        "w.pth",
        lambda p: torch.save(small_weights(), p, _use_new_zipfile_serialization=False),
        read_state_dict,
        tries=60,
    ),
    Reader(
        "training state",
        LAST,
        training_state,
        lambda p: Session(nn.Linear(3, 2), TrainConfig(), p.parent, "s").resume(),
        tries=60,
    ),
    Reader("CheXlocalize map", "i_Edema_map.pkl", saliency, read_saliency, tries=100),
    Reader("CheXlocalize map folder", "i_Edema_map.pkl", saliency, lambda p: MapFolder(p.parent).load("i"), tries=20),
    Reader("map NPY", "s.npy", lambda p: np.save(p, np.eye(9)), lambda p: MapFolder(p.parent).load("s")),
    Reader("map PNG", "s.png", picture(GREY), lambda p: MapFolder(p.parent).load("s")),
    Reader("stored array", "s.npy", lambda p: np.save(p, np.eye(9)), arrays_by_study, tries=80),
    Reader("CheXlocalize segmentations", "s.json", segmented, all_segmentations, text=True, tries=120),
    Reader(
        "bimcv",
        **source(
            "bimcv",
            json.dumps({"00101010": {"vr": "AS", "Value": ["078Y"]}}),
            _BIMCV_FILM,
            beside={
                "covid19_posi/derivatives/labels/labels_covid19_posi.tsv": BIMCV_LABELS,
            },
        ),
    ),
    Reader(
        "cohen",
        **source(
            "cohen",
            "patientid,offset,sex,age,finding,view,modality,folder,filename,license\n"
            "2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpeg,CC\n",
            "images/a.jpeg",
        ),
    ),
    Reader("covidx", **source("covidx", "3 a.jpeg pneumonia cohen\nc b.png COVID-19 sirm\n", "data/train/a.jpeg")),
    Reader("darwin", **source("darwin", json.dumps(_DARWIN), "images/1.png")),
    Reader("darwin again", **source("darwin", json.dumps(_DARWIN, indent=1), "images/1.png")),
    Reader(
        "jsrt",
        **source(
            "jsrt",
            "JPCNN001.IMG     30    female   non-nodule\r\n",
            "All247images/JPCNN001.png",
            beside={"Clinical_Information/CLNDAT_EN.txt": ""},
        ),
    ),
    Reader(
        "montgomery",
        **source("montgomery", "Patient's Sex: F\nPatient's Age: 027Y\nnormal", "CXR_png/MCUCXR_0001_0.png"),
    ),
    Reader(
        "nih",
        **source(
            "nih",
            "filename,patient_id,label,finding_labels,age,sex,view\n2_000.png,2,normal,No Finding,46,M,PA\n",
            "images/2_000.png",
        ),
    ),
    Reader(
        "padchest",
        **source(
            "padchest",
            ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,"
            "PatientSex_DICOM,"
            "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,ReportID,Report,MethodLabel,Labels\n"
            "0,1.png,0,20140915,s,p,1930.0,F,POSTEROANTERIOR,PA,Manual,No,1,sin,Physician,\"['normal']\"\n",
            "0/1.png",
        ),
    ),
    Reader(
        "rsna",
        **source(
            "rsna",
            "patientId,x,y,width,height,Target\n4,264.0,152.0,213.0,379.0,1\n",
            "stage_2_train_images/4.png",
            beside={"stage_2_detailed_class_info.csv": "patientId,class\n4,Lung Opacity\n"},
        ),
    ),
    Reader("tb", **source("tb", "filename,label\na.png,normal\n", "images/a.png")),
)
