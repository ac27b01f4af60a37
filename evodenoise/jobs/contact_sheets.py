"""Contact sheets: all images of a run before and after, for people."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from evodenoise.errors import EvodenoiseError
from evodenoise.evaluation.figures import Thumbnail, draw_sheets, make_thumbnail
from evodenoise.images import Image, read_image, write_image
from evodenoise.images.conversion import Conversion
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.records import Record, Status
from evodenoise.jobs.sidecars import make_folder, middle_page


def draw_contact_sheets(folder: Path, ledger: Ledger) -> None:
    """Draw contact sheets of all images that have been denoised, now or in earlier runs.

    Parameters
    ----------
    folder : Path
        Where they go, as ``contact_sheet.png``, ``contact_sheet_2.png`` and so on.
    ledger : Ledger
        Knows the images.

    Raises
    ------
    OutputError, WriteError
        If that fails.
    """
    for number, sheet in enumerate(draw_sheets(_thumbnails(ledger)), 1):
        make_folder(folder)
        name = "contact_sheet.png" if number == 1 else f"contact_sheet_{number}.png"
        write_image(folder / name, Image.plain(sheet, "YXC"))


def _thumbnails(ledger: Ledger) -> Iterator[Thumbnail]:
    for job, record in ledger.records.items():
        if record["status"] in (Status.DONE, Status.SKIPPED):
            with suppress(EvodenoiseError):  # an earlier run's file that has gone since
                conversion = Conversion.read(job.source, ledger.settings.files)
                noisy, denoised = conversion.image, read_image(job.target)
                yield make_thumbnail(
                    middle_page(noisy, noisy.pixels),
                    middle_page(denoised, conversion.in_units_of_input(denoised.pixels)),
                    (str(job.inside), _figures(record)),
                )


def _figures(record: Record) -> str:
    parts = []
    if record["noise_std"] is not None:
        parts.append(f"noise {record['noise_std']:.3g}")
    if record["psnr"] is not None and record["psnr_noisy"] is not None:
        parts.append(f"{record['psnr_noisy']:.2f} to {record['psnr']:.2f} dB")
    return ", ".join(parts)
