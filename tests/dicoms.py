"""DICOM files to test with, of a person who must never be heard of again."""

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

SECRET = "ZYXWVUT"


def dicom(values, colours="MONOCHROME2", *, syntax=ExplicitVRLittleEndian, frame=None, **elements):
    """A file of (H, W) or (H, W, 3) samples, or of a compressed frame of them."""
    values = np.asarray(values)
    bits = values.dtype.itemsize * 8
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName = f"{SECRET}^Jane"
    dataset.PatientID = f"{SECRET}-42"
    dataset.PatientBirthDate = "19700131"
    dataset.StudyDescription = SECRET
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    dataset.PhotometricInterpretation = colours
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    little = "<" if syntax.is_little_endian else ">"
    native = values.astype(values.dtype.newbyteorder(little)).tobytes()
    dataset.PixelData = encapsulate([frame]) if frame else native + b"\0" * (len(native) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 or frame else "OW"
    dataset["PixelData"].is_undefined_length = frame is not None
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    if elements.get("BitsStored"):
        dataset.HighBit = dataset.BitsStored - 1
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    stream = io.BytesIO()
    dcmwrite(
        stream,
        dataset,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return stream.getvalue()


def compressed(values, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(values)).save(stream, kind, **options)
    return stream.getvalue()
