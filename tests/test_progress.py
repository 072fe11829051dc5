"""Progress: lines where there is no terminal, bars where there is."""

from typing import ClassVar

from budgetnet.metrics import EpochRecord
from budgetnet.progress import ConsoleProgress, PipeProgress

RECORD = EpochRecord(2, 0.1, 0.05, 98.5, 0.03, 99.25, 7.0)


def tell(progress):
    progress.start("step-13 seed 0", 1, 3, 100)
    progress.note("step-13 seed 0", "trains on the C kernels, fp32, 1 thread")
    progress.tick("step-13 seed 0", 64)
    progress.epoch("step-13 seed 0", RECORD, 3)
    progress.finish("step-13 seed 0", "done")


def test_plain_lines_without_a_terminal(capsys):
    tell(ConsoleProgress())
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "step-13 seed 0  resumes after epoch 1/3",
        "step-13 seed 0  trains on the C kernels, fp32, 1 thread",
        "step-13 seed 0  epoch  2/3  lr 0.1      train  98.50 %  loss 0.0500  validation  99.25 %  loss 0.0300     7.0 s",
        "step-13 seed 0  done",
    ]
    assert captured.err == ""


def test_bars_on_a_terminal(capsys):
    progress = ConsoleProgress(bars=True)
    tell(progress)
    progress.start("step-13 seed 1", 0, 3, 100)
    progress.close()
    captured = capsys.readouterr()
    assert "step-13 seed 0: " in captured.err
    assert "/300" in captured.err
    assert "step-13 seed 0  trains on the C kernels, fp32, 1 thread" in captured.out
    assert "validation  99.25 %" in captured.out


def test_the_pipe_carries_everything_and_gathers_ticks(capsys):
    class Pipe:
        messages: ClassVar[list] = []
        send = messages.append

    progress = PipeProgress(Pipe)
    tell(progress)
    for _ in range(1000):
        progress.tick("step-13 seed 0", 64)
    kinds = [kind for kind, _ in Pipe.messages]
    assert kinds[:5] == ["start", "note", "tick", "epoch", "finish"]
    assert len(kinds) < 20
    console = ConsoleProgress(bars=False)
    for kind, content in Pipe.messages:
        getattr(console, kind)(*content)
    output = capsys.readouterr().out
    assert "resumes after epoch 1/3" in output
    assert "step-13 seed 0  trains on the C kernels, fp32, 1 thread" in output
