"""The work of a step on a CUDA device, recorded once and from then on replayed as a whole.

A step of small tensors is some hundred kernels of a few microseconds each, and the host takes longer to start them one
by one than the device to run them. A recording (a CUDA graph) starts them all at once.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Work = Callable[[], Tensor]
"""What can be recorded: it reads and changes tensors that stay where they are, and gives another such."""

WARM_UP = 3
"""How often work is done as it is before it is recorded, so that all is there that is made once."""

Key = TypeVar("Key", bound=Hashable)


class Recorder(Protocol):
    """Makes recordings."""

    def warm_up(self, work: Work) -> Tensor:
        """Do the work as it is."""

    def record(self, work: Work) -> Work:
        """Record the work, not done thereby, and give what does it again, in the same memory.

        Raises:
            RuntimeError: that cannot be.
        """


class CudaRecorder:
    """Records CUDA graphs.

    Args:
        generator: the source of the work's random numbers, on the device.
        optimizer: what makes steps in the work.
    """

    def __init__(self, generator: torch.Generator, optimizer: torch.optim.Optimizer) -> None:
        self.generator = generator
        self.optimizer = optimizer
        self._stream = torch.cuda.Stream(generator.device)

    def warm_up(self, work: Work) -> Tensor:
        """Do the work on the stream that it will be recorded on."""
        current = torch.cuda.current_stream(self.generator.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def record(self, work: Work) -> Work:
        """See :class:`Recorder`."""
        graph, before = torch.cuda.CUDAGraph(), self.generator.get_state()
        graph.register_generator_state(self.generator)
        self._set_capturable(True)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                result = work()
        except RuntimeError:
            self.generator.set_state(before)
            raise
        finally:
            self._set_capturable(False)

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    def _set_capturable(self, capturable: bool) -> None:
        for group in self.optimizer.param_groups:  # PyTorch's Adam warns of it outside of a recording
            group["capturable"] = capturable


class Recordings(Generic[Key]):
    """Does work with a batch for one of a few keys, by its recording as soon as there is one.

    Where the work cannot be recorded, one warning says so, and all of it is done as it is.

    Args:
        work: takes a batch, of the same shape each time, and a key, which tells all that the host decides.
        recorder: makes the recordings.
    """

    def __init__(self, work: Callable[[Tensor, Key], Tensor], recorder: Recorder) -> None:
        self.work = work
        self.recorder: Recorder | None = recorder
        self._batch: Tensor | None = None
        self._replays: dict[Key, Work] = {}
        self._times: Counter[Key] = Counter()

    def __call__(self, batch: Tensor, key: Key) -> Tensor:
        if self.recorder is None:
            return self.work(batch, key)
        if self._batch is None:
            self._batch = torch.empty_like(batch)
        static = self._batch.copy_(batch)
        if key not in self._replays:
            self._times[key] += 1
            if self._times[key] <= WARM_UP:
                return self.recorder.warm_up(lambda: self.work(static, key))
            try:
                self._replays[key] = self.recorder.record(lambda: self.work(static, key))
            except RuntimeError as error:
                reason = str(error).partition("\n")[0]
                warnings.warn(f"a step cannot be recorded, and goes on as it is: {reason}", stacklevel=2)
                self.recorder = None
                self._replays.clear()
                return self.work(batch, key)
        return self._replays[key]().clone()  # the next replay writes where this result lies

    def forget(self) -> None:
        """Record anew: tensors that the work reads or changes lie elsewhere now."""
        self._replays.clear()
        self._times.clear()
