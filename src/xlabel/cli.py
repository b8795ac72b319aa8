"""The command `xlabel`: one function a command, each a thin face of the job of that name."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter

from xlabel import __version__
from xlabel.errors import InputError, XlabelError
from xlabel.options import (
    DEFAULT_MEDIA,
    Choice,
    Finding,
    Flag,
    Judging,
    Making,
    OnLoss,
    Putting,
    Reviewing,
    Serving,
    Updating,
    bytes_of,
)
from xlabel.terminal import failed, misread, printed, with_progress

app = App(
    name="xlabel",
    version=__version__,
    help="Image labels are metadata: keep them with their images, and let the data set travel as two files.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
app.meta.group_parameters = Group("Global options", sort_key=9)


@app.command(usage="Usage: xlabel pack [OPTIONS] IMAGES [LABELS]")
def pack(
    images: Path,
    labels: Path | None = None,
    /,
    *,
    output: Path = Path("output"),
    media: str = DEFAULT_MEDIA,
    choice: Choice = Choice(),
    making: Making = Making(),
    updating: Updating = Updating(),
    overwrite: Annotated[bool, Flag] = False,
    on_loss: OnLoss = "stop",
) -> Any:
    """Pack a folder of images and their labels into a media bundle and one annotation file.

    Parameters
    ----------
    images
        Folder of images.
    labels
        Folder or file of labels. If not given: those inside or beside IMAGES.
    output
        Folder for the bundle, unified_annotation.json and frame_manifest.json.
    media
        Name of the bundle; its suffix picks the kind: .mp4, .tar or .zip.
    overwrite
        Replace what is there; with --update, take out images that others have added and IMAGES lacks.
    on_loss
        A pack holds everything that labels say, so nothing is ever lost here.
    """
    from xlabel.jobs.opening import output_folder

    output_folder(output)
    if updating.update and (output / "unified_annotation.json").exists():
        if media != DEFAULT_MEDIA and not (output / media).exists():
            raise InputError(f"{output}: --media cannot change a pack that is there; pack anew")
        return _update(images, labels, output, choice, making, updating, overwrite)
    if (updating.verify or updating.message) and not updating.update:
        raise InputError("--verify and --message go with --update")
    from xlabel.jobs.pack import pack as job

    return with_progress(
        job,
        images,
        labels,
        output,
        media=media,
        format=choice.from_,
        pattern=choice.pattern,
        overwrite=overwrite,
        skip_missing_images=choice.skip_missing_images,
        fps=making.fps,
        plain=making.plain,
        fingerprint=making.fingerprint,
        video=making.video,
        crf=making.crf,
        preview=making.preview,
        parquet=making.parquet,
        workers=making.workers,
    )


def _update(
    images: Path,
    labels: Path | None,
    output: Path,
    choice: Choice,
    making: Making,
    updating: Updating,
    overwrite: bool,
) -> Any:
    from xlabel.jobs.update import update as job

    if making.plain or making.fps != Making.fps:
        raise InputError(f"{output}: --fps and --plain cannot change a pack that is there; pack anew")
    if making.video or making.preview or making.crf is not None:
        raise InputError(f"{output}: --video and --preview make a pack and update none; pack anew")
    return with_progress(
        job,
        images,
        labels,
        output,
        format=choice.from_,
        pattern=choice.pattern,
        skip_missing_images=choice.skip_missing_images,
        fingerprint=making.fingerprint,
        verify=updating.verify,
        message=updating.message,
        overwrite=overwrite,
        parquet=making.parquet,
        workers=making.workers,
    )


@app.command
def compact(
    dir: Path,
    /,
    *,
    order: str = "key",
    message: Annotated[str, Parameter(name=["--message", "-m"])] = "",
) -> Any:
    """Write a pack anew without the bytes of deleted images.

    Parameters
    ----------
    dir
        Folder of a pack.
    order
        `key` for that of a fresh pack, `frame` for that of the frames, or a text file with a key a line.
    message
        What xlabel log says of it.
    """
    from xlabel.jobs.compact import compact as job

    return with_progress(job, dir, order=order, message=message)


@app.command
def log(dir: Path, /) -> Any:
    """List the generations of a pack: when each update was, and what it has changed.

    Parameters
    ----------
    dir
        Folder of a pack. Pull one at a URL first.
    """
    from xlabel.jobs.history import log as job

    return job(dir)


@app.command
def diff(one: Path, other: Path, /) -> Any:
    """Say how two packs differ, or two generations of one: xlabel diff output@3 output@5.

    Parameters
    ----------
    one
        Folder of a pack, or DIR@3 for it as it was in generation 3. Pull one at a URL first.
    other
        The same for the other state.
    """
    from xlabel.jobs.history import diff as job

    return job(one, other)


@app.command(usage="Usage: xlabel push [OPTIONS] DIR URL")
def push(
    dir: Path,
    url: str,
    /,
    *,
    fold: Annotated[bool, Flag] = False,
    gc: Annotated[bool, Flag] = False,
    bwlimit: Annotated[int | None, Parameter(converter=bytes_of)] = None,
    dry_run: Annotated[bool, Flag] = False,
) -> Any:
    """Send a pack to a URL, or what has changed since it was last sent.

    Parameters
    ----------
    dir
        Folder of a pack.
    url
        Where it goes: s3://bucket/name, gs://, az://, hf://, sftp:// or file:///folder.
    fold
        Write the JSON files there whole again, with the changes that were sent since folded in.
    gc
        Take away what killed pushes have left there, and objects that the current state does not need.
    bwlimit
        Bytes a second that are sent at most, such as 500k or 10M.
    dry_run
        Say how many bytes would be sent, and send none.
    """
    from xlabel.jobs.push import push as job

    return with_progress(job, dir, url, fold=fold, gc=gc, bwlimit=bwlimit, dry_run=dry_run)


@app.command(usage="Usage: xlabel pull [OPTIONS] URL DIR")
def pull(url: str, dir: Path, /, *, overwrite: Annotated[bool, Flag] = False) -> Any:
    """Fetch a pack from a URL, or what has changed there since it was last fetched.

    Parameters
    ----------
    url
        Where it was pushed to.
    dir
        Folder for the pack.
    overwrite
        Replace another pack, or changes that were not pushed.
    """
    from xlabel.jobs.pull import pull as job

    return with_progress(job, url, dir, overwrite=overwrite)


@app.command
def verify(dir: str, /, *, full: Annotated[bool, Flag] = False) -> Any:
    """Check a pack, in a folder or at a URL, against its hashes, its order and its partners.

    Parameters
    ----------
    dir
        Folder of a pack, DIR@3 for it as it was in generation 3, its media file, or the URL it was pushed to.
    full
        At a URL, read every byte, also where the store keeps a checksum of them; a folder is always read.
    """
    from xlabel.jobs.verify import verify as job

    return with_progress(job, dir, full=full)


@app.command
def unpack(
    dir: Path,
    dest: Path,
    /,
    *,
    to: str | None = None,
    on_loss: OnLoss = "stop",
    overwrite: Annotated[bool, Flag] = False,
) -> Any:
    """Write a pack's images again, byte for byte, and its labels in the form that they came in.

    Parameters
    ----------
    dir
        Folder of a pack, DIR@3 for it as it was in generation 3, or its media file. Pull one at a URL first.
    dest
        Folder to write; images and labels lie in it as they did when they were packed.
    to
        Another format for the labels: see `xlabel formats`. Images then go to DEST/images.
    on_loss
        What to do where that format cannot hold everything: stop, or drop what it cannot hold.
    overwrite
        Write into a folder that is not empty.
    """
    from xlabel.jobs.unpack import unpack as job

    return with_progress(job, dir, dest, to=to, on_loss=on_loss, overwrite=overwrite)


@app.command(usage="Usage: xlabel convert [OPTIONS] SRC DEST --to FORMAT")
def convert(
    src: Path,
    dest: Path,
    /,
    *,
    to: str,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    images: Path | None = None,
    on_loss: OnLoss = "stop",
    overwrite: Annotated[bool, Flag] = False,
) -> Any:
    """Write labels in another format; images are only looked at for their sizes.

    Parameters
    ----------
    src
        Folder or file of labels.
    dest
        Folder or file to write.
    to
        Format to write: coco, yolo, voc, labelme, csv, json and others, see `xlabel formats`.
    from_
        Format to read. Found out by content if not given.
    images
        Folder of the images, for formats that do not state their sizes (YOLO). If not given: found.
    on_loss
        What to do where the format cannot hold everything: stop, or drop what it cannot hold.
    overwrite
        Replace what is there.
    """
    from xlabel.jobs.convert import convert as job

    return job(src, dest, to=to, format=from_, images=images, on_loss=on_loss, overwrite=overwrite)


@app.command(usage="Usage: xlabel embed [OPTIONS] IMAGES [LABELS]")
def embed(
    images: Path,
    labels: Path | None = None,
    /,
    *,
    output: Path | None = None,
    choice: Choice = Choice(),
    putting: Putting = Putting(),
    overwrite: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
) -> Any:
    """Put labels into the image files themselves, in place or into copies.

    Parameters
    ----------
    images
        Folder of images, one image, or a glob in quotes.
    labels
        Folder or file of labels. If not given: those inside or beside IMAGES.
    output
        Folder for copies with labels; the images themselves then stay as they are.
    overwrite
        Replace a UserComment that holds somebody else's text.
    dry_run
        Say what would be done, and write nothing.
    """
    from xlabel.jobs.embed import embed as job

    return with_progress(
        job,
        images,
        labels,
        output=output,
        format=choice.from_,
        pattern=choice.pattern,
        skip_missing_images=choice.skip_missing_images,
        sidecar=putting.sidecar,
        mwg=putting.mwg,
        fingerprint=putting.fingerprint,
        keep_time=putting.keep_time,
        workers=putting.workers,
        overwrite=overwrite,
        dry_run=dry_run,
    )


@app.command(usage="Usage: xlabel review [OPTIONS] IMAGES [LABELS]")
def review(
    images: Path,
    labels: Path | None = None,
    /,
    *,
    reviewing: Reviewing = Reviewing(),
    serving: Serving = Serving(),
    sidecar: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
) -> Any:
    """Open a page in the browser to look through images and to draw, correct and accept labels.

    Parameters
    ----------
    images
        Folder of images, one image, or a glob in quotes.
    labels
        Folder or file of labels. If not given: those inside or beside IMAGES.
    sidecar
        Save labels of an image that cannot hold them into a file NAME.xlabel beside it.
    overwrite
        Replace a UserComment that holds somebody else's text.
    """
    from xlabel.jobs.review import serve as job

    return job(
        images,
        labels,
        format=reviewing.from_,
        pattern=reviewing.pattern,
        where=reviewing.where,
        order=reviewing.order,
        author=reviewing.author,
        sam=reviewing.sam,
        sidecar=sidecar,
        overwrite=overwrite,
        host=serving.host,
        port=serving.port,
        expose=serving.expose,
        browse=not serving.no_open,
    )


@app.command(usage="Usage: xlabel extract [OPTIONS] IMAGES DEST --to FORMAT")
def extract(
    images: Path,
    dest: Path,
    /,
    *,
    to: str,
    exif: Annotated[bool, Flag] = False,
    pattern: str | None = None,
    on_loss: OnLoss = "stop",
    overwrite: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
) -> Any:
    """Write the labels inside image files as label files of any format.

    Parameters
    ----------
    images
        Folder of images, one image, or a glob in quotes.
    dest
        Folder or file to write.
    to
        Format to write: coco, yolo, voc, labelme, csv, json and others, see `xlabel formats`.
    exif
        What the camera said too: columns exif_Make and the like in CSV, an object elsewhere.
    pattern
        Only images whose path fits this glob.
    on_loss
        What to do where the format cannot hold everything: stop, or drop what it cannot hold.
    overwrite
        Replace what is there.
    dry_run
        Say what would be done, and write nothing.
    """
    from xlabel.jobs.extract import extract as job

    return with_progress(
        job,
        images,
        dest,
        to=to,
        exif=exif,
        pattern=pattern,
        on_loss=on_loss,
        overwrite=overwrite,
        dry_run=dry_run,
    )


@app.command(usage="Usage: xlabel show [OPTIONS] FILES...")
def show(
    *files: Path,
    draw: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
) -> Any:
    """Print the labels inside images and where in the files they are, or draw them.

    Parameters
    ----------
    files
        Image files, folders, or globs in quotes.
    draw
        Draw the labels on the picture: a file to write, or a folder where there are several images.
    overwrite
        Replace a drawing that is there.
    """
    from xlabel.jobs.show import show as job

    return job(files, draw=draw, overwrite=overwrite)


@app.command(usage="Usage: xlabel strip [OPTIONS] IMAGES...")
def strip(
    *images: Path,
    pattern: str | None = None,
    keep_time: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    workers: int | None = None,
) -> Any:
    """Take out of image files exactly what xlabel put into them.

    Parameters
    ----------
    images
        Folders of images, image files, or globs in quotes.
    pattern
        Only images whose path fits this glob.
    keep_time
        Keep the files' times.
    dry_run
        Say what would be done, and write nothing.
    workers
        Processes to use. If not given: one a core, up to 8, and one for few images.
    """
    from xlabel.jobs.strip import strip as job

    return with_progress(job, images, pattern=pattern, keep_time=keep_time, dry_run=dry_run, workers=workers)


@app.command(usage="Usage: xlabel prelabel [OPTIONS] IMAGES --model MODEL, or IMAGES --evaluate")
def prelabel(
    images: Path,
    /,
    *,
    model: str | None = None,
    finding: Finding = Finding(),
    judging: Judging = Judging(),
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    pattern: str | None = None,
    dry_run: Annotated[bool, Flag] = False,
) -> Any:
    """Let a model look at images, and put what it finds into them as suggestions.

    Parameters
    ----------
    images
        Folder of images, one image, or a glob in quotes.
    model
        A file NAME.onnx, or package.module:function, which is given a picture and gives annotations.
    from_
        Format of label files in or beside IMAGES: see `xlabel formats`. Found out by content if not given.
    pattern
        Only images whose path fits this glob.
    dry_run
        Run the model and say what it would suggest, and write nothing.
    """
    if judging.evaluate:
        return _evaluate(images, model, finding, judging.truth, from_, pattern, dry_run)
    if judging.truth is not None:
        raise InputError("--truth goes with --evaluate")
    if model is None:
        raise InputError("expected --model and its value, or --evaluate; see xlabel prelabel --help")
    from xlabel.jobs.prelabel import prelabel as job

    return with_progress(
        job,
        images,
        model=model,
        categories=finding.categories,
        map=finding.map,
        min_score=finding.min_score,
        iou=finding.iou,
        batch=finding.batch,
        format=from_,
        pattern=pattern,
        sidecar=finding.sidecar,
        dry_run=dry_run,
    )


def _evaluate(
    images: Path,
    model: str | None,
    finding: Finding,
    truth: Path | None,
    from_: str | None,
    pattern: str | None,
    dry_run: bool,
) -> Any:
    from xlabel.jobs.evaluate import evaluate as job

    if finding != Finding() or dry_run:
        raise InputError(
            "--evaluate runs no model and changes nothing: leave out what says how suggestions are made"
        )
    if from_ is not None and truth is None:
        raise InputError("--from goes with --truth here: the labels in the images have one format")
    return with_progress(job, images, truth, model=model, format=from_, pattern=pattern)


@app.command(usage="Usage: xlabel repair [OPTIONS] IMAGES --from PATH")
def repair(
    images: Path,
    /,
    *,
    from_: Annotated[Path, Parameter(name="--from")],
    output: Path | None = None,
    pattern: str | None = None,
    keep_time: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    workers: int | None = None,
) -> Any:
    """Put labels back into images that lost them, and right those of images that were changed.

    Parameters
    ----------
    images
        Folder of images, one image, or a glob in quotes.
    from_
        A bundle, its annotation file, or a folder of images with labels inside or beside them.
    output
        Folder for copies; the images themselves then stay as they are.
    pattern
        Only images whose path fits this glob.
    keep_time
        Keep the files' times.
    dry_run
        Say what would be done, and write nothing.
    workers
        Processes to use. If not given: one a core, up to 8, and one for few images.
    """
    from xlabel.jobs.repair import repair as job

    return with_progress(
        job,
        images,
        from_,
        output=output,
        pattern=pattern,
        keep_time=keep_time,
        dry_run=dry_run,
        workers=workers,
    )


@app.command(usage="Usage: xlabel validate [OPTIONS] SOURCE [LABELS]")
def validate(
    source: Path,
    labels: Path | None = None,
    /,
    *,
    against: Path | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    sarif: Path | None = None,
    html: Path | None = None,
    workers: int | None = None,
) -> Any:
    """Look for what is wrong with labels and their images; nothing is changed.

    Parameters
    ----------
    source
        Folder of images, one image, or a glob in quotes; or a folder or file of labels; or a bundle.
    labels
        Folder or file of labels. If not given: those inside or beside the images.
    against
        Bundle, annotation file or folder with the labels that the images once had: tells stale and stripped.
    from_
        Format of the labels: see `xlabel formats`. Found out by content if not given.
    sarif
        File to write the findings to as SARIF 2.1.0, for code hosts and editors.
    html
        File to write a page to, with pictures of what is wrong.
    workers
        Processes to use. If not given: one a core, up to 8, and one for few images.
    """
    from xlabel.jobs.validate import validate as job

    options = {"against": against, "format": from_, "sarif": sarif, "html": html, "workers": workers}
    return with_progress(job, source, labels, **options)


@app.command
def formats() -> Any:
    """List the label formats that this installation reads and writes, and what each can hold."""
    from xlabel.jobs.formats import formats as job

    return job()


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Flag] = False,
) -> int:
    """Run a command and print its report.

    Parameters
    ----------
    json
        Print the report as JSON, for machines.
    """
    if "" in tokens:
        return failed("expected no empty argument; is a variable not set?", 2, json)
    try:
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return failed(misread(error), 2, json)
    except XlabelError as error:
        return failed(str(error), error.exit_code, json, getattr(error, "losses", None))
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return failed(f"{place}the system refused: {error.strerror or error}", 2, json)
    except KeyboardInterrupt:
        return failed("interrupted; no file is half written", 130, json)
    if result is None:
        return 0
    printed(result, json)
    return getattr(result, "exit_code", 0)


def main() -> None:
    """Entry point of the command."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts threads for what nothing here needs
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in ("stdout", "stderr"):  # a stream may be closed, and need not know every character
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app.meta(exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        code = failed(misread(error), 2, False)
    except KeyboardInterrupt:
        code = failed("interrupted", 130, False)
    except OSError as error:  # of standard output: a closed pipe, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = (
            1 if isinstance(error, BrokenPipeError) else failed(f"cannot print: {error.strerror}", 2, False)
        )
    sys.exit(code or 0)
