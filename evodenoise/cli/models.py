"""One model for all images of a command: what its options mean, and the training of it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from evodenoise.cli.output import Voice
from evodenoise.errors import ConfigError
from evodenoise.jobs.job import OF_THE_MODEL, RunSettings
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.sidecars import check_new_file, write_new_file


@dataclass(frozen=True)
class Sharing:
    """What was asked for.

    Attributes
    ----------
    shared : bool
        Whether one model is trained for all images.
    save : Path or None
        Where the model is kept.
    """

    shared: bool = False
    save: Path | None = None

    def check(self, plan: Plan, settings: RunSettings) -> None:
        """Refuse what makes no sense together.

        Raises
        ------
        ConfigError
            If options contradict each other.
        OutputError
            If the model could not be written.
        """
        if self.shared and not plan.many:
            raise ConfigError("--share-model is for many images; leave it out")
        if self.shared and settings.model is not None:
            raise ConfigError("--share-model trains a model, --load-model brings one; choose one")
        if settings.model is not None and settings.noise_file is not None:
            raise ConfigError(
                "--load-model brings what it has learned of the noise; leave out --noise-file"
            )
        if self.save is not None and plan.many and not self.shared:
            raise ConfigError(
                "--save-model keeps one model, and each of many images has its own; "
                "add --share-model"
            )
        if self.save is not None and plan.many:
            check_new_file(self.save, overwrite=settings.overwrite or settings.resume)

    def check_cluster(self) -> None:
        """Refuse a model in a temporary file, which other machines do not see.

        Raises
        ------
        ConfigError
            If that was asked for.
        """
        if self.shared and self.save is None:
            raise ConfigError(
                "--share-model with --scheduler needs --save-model FILE, where the workers see it"
            )

    def check_shard(self) -> None:
        """Refuse to train one model for all images in each of several shards.

        Raises
        ------
        ConfigError
            If that was asked for.
        """
        if self.shared:
            raise ConfigError(
                "--share-model would train a model in each shard; train one before, in a run "
                "over some images with --save-model, and give it to the shards with --load-model"
            )

    @contextmanager
    def settle(self, plan: Plan, settings: RunSettings, voice: Voice) -> Iterator[RunSettings]:
        """Train the shared model, if there is to be one.

        Parameters
        ----------
        plan : Plan
            All images.
        settings : RunSettings
            What holds for them.
        voice : Voice
            What to print.

        Yields
        ------
        RunSettings
            The same with the model, which lies in a temporary file unless it is kept.
        """
        if not self.shared:
            yield settings
            return
        from evodenoise.cli.progress import show_progress
        from evodenoise.jobs.forecast import StageSeconds
        from evodenoise.jobs.progress import ImageProgress
        from evodenoise.jobs.sharing import train_shared_model
        from evodenoise.system.device import prepare_process

        prepare_process(settings.threads)
        voice.say("training one model for all images")
        course = ImageProgress(StageSeconds.unknown())
        with show_progress(course, quiet=voice.quiet, verbose=voice.verbose) as progress:
            trained = train_shared_model(plan.jobs, settings, on_epoch=progress.on_epoch)
        # The epochs that were asked for have been spent.
        overrides = {**settings.overrides, **dict.fromkeys(("epochs", *OF_THE_MODEL))}
        with tempfile.TemporaryDirectory(prefix="evodenoise-") as folder:
            path = self.save or Path(folder, "model")
            write_new_file(path, trained.to_bytes())
            yield replace(settings, overrides=overrides, model=path)
