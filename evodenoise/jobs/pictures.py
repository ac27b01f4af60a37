"""Pictures of the images of a run, small, for a report to look at."""

from contextlib import suppress

from evodenoise.errors import EvodenoiseError
from evodenoise.evaluation.views import Views, draw_views
from evodenoise.images import read_image
from evodenoise.images.conversion import Conversion, FileSettings
from evodenoise.jobs.job import Job
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.sidecars import middle_page


def draw_result(result: JobResult) -> Views:
    """Draw an image before and after; of a stack its middle page.

    Parameters
    ----------
    result : JobResult
        What came of it.
    """
    image, conversion = result.prepared.image, result.prepared.conversion
    denoised = conversion.in_units_of_input(middle_page(image, result.written.pixels))
    return draw_views(middle_page(image, image.pixels), denoised)


def draw_files(job: Job, files: FileSettings) -> Views | None:
    """Draw an image that an earlier run has denoised, as `draw_result` does.

    Parameters
    ----------
    job : Job
        The image.
    files : FileSettings
        How its file is read.

    Returns
    -------
    Views or None
        None, if one of the files has gone.
    """
    with suppress(EvodenoiseError):
        conversion = Conversion.read(job.source, files)
        noisy, denoised = conversion.image, read_image(job.target)
        before = middle_page(noisy, noisy.pixels)
        after = conversion.in_units_of_input(middle_page(denoised, denoised.pixels))
        return draw_views(before, after) if before.shape == after.shape else None
    return None
