"""Update of a bundle that cannot be added to, a .tar or a .zip: it is written anew."""

from contextlib import ExitStack, closing

from msgspec import to_builtins
from msgspec.structs import replace

from xlabel.errors import InputError
from xlabel.jobs.assembly import FPS, says_the_same
from xlabel.jobs.bundle import Bundle
from xlabel.jobs.comparing import compared
from xlabel.jobs.generations import LOG, Changes, Generation
from xlabel.jobs.labels import Found
from xlabel.jobs.opening import file_lines, read_lines
from xlabel.jobs.packing import How, below, in_folder, publish, stage
from xlabel.jobs.putting import now
from xlabel.jobs.seals import is_edited
from xlabel.model import Report
from xlabel.model.manifest import ANNOTATIONS
from xlabel.model.report import Progress, counted, size_text
from xlabel.stores.local import Scan
from xlabel.stores.snapshot import Kept
from xlabel.stores.transaction import Transaction


def anew(
    bundle: Bundle,
    images: Scan,
    found: Found | None,
    how: How,
    work: Transaction,
    message: str,
    progress: Progress | None,
) -> Report:
    """The next generation of a pack, written anew; the log says what has changed."""
    folder, before, manifest = bundle.media.parent, bundle.generation, bundle.manifest
    assert manifest is not None
    with ExitStack() as leaving:
        old = read_lines(bundle, leaving)
        if is_edited(bundle, old):
            raise InputError(
                f"{old.where}: was edited since it was written, and an update of a .{bundle.kind} would lose "
                "that; keep a copy, and pack with --overwrite"
            )
        files = in_folder(folder, bundle.media.name)
        again = replace(how, generation=before + 1, fps=manifest.fps or FPS)
        made = stage(images, found, files, again, {folder: work}, leaving, progress)
        report, assembly = made.report, made.assembly
        staged = leaving.enter_context(closing(Kept(work.staged(ANNOTATIONS))))
        counts = compared(old, file_lines(staged, leaving)).counts
        extra = found.labels.extra if found else None
        if (
            not counts
            and assembly.pack_id == bundle.pack_id
            and says_the_same(old.top, assembly.categories.all, extra, made.whole)
            and to_builtins(below(report.problems, images, found)) == manifest.problems
        ):
            report.bytes = 0
            report.notes.append(f"nothing has changed since generation {before}; no file was written")
            return report
        changes = Changes(work.staged("spool-log"), old.tail)
        leaving.callback(changes.close)
        work.unless_committed(changes.undo)
        line = Generation(
            generation=before + 1,
            time=now(),
            message=message,
            changes=counts,
            pack_id=assembly.pack_id,
            media_size=made.size,
            anew=True,
        )
        set_aside = changes.append(folder / LOG, bundle.made, line)
        report.notes += [set_aside] if set_aside else []
        publish({folder: work}, report, files)
    report.done |= counts
    report.notes.append(
        f"generation {before + 1}: a .{bundle.kind} is written anew, {size_text(report.bytes)} for "
        f"{counted(sum(counts.values()), 'changes')}; an .mp4 grows by what is new alone"
    )
    return report
