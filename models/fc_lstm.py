"""FC-LSTM, Srivastava et al., ICML 2015: frames as vectors, to be remembered and continued.

Source: emansim/unsupervised-videos `lstm.py`, `lstm_combo.py`, `cudamat/cudamat_kernels.cu` at
29407a8, the conditional composite model of `models/lstm_combo_1layer_mnist.pbtxt`.

B batch, T frames, D pixels of a frame in all channels, N hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.options import Counts
from benchbench.predictor import Predictor, Progress
from benchbench.registry import register_model


class State(NamedTuple):
    """One layer's output and cell, each (B, N)."""

    h: Tensor
    c: Tensor


def drawn(shape: tuple[int, int], limit: float) -> nn.Parameter:
    """A matrix, uniform within a limit."""
    return nn.Parameter(torch.empty(shape).uniform_(-limit, limit))


class PeepholeLSTMCell(nn.Module):
    """An LSTM whose gates see the cell: i and f the old one, o the new one (section 2.1).

    Rows are those of i, f, a, o, where a is what may enter the cell; parameters are laid out as the
    source has them.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.w_input = drawn((4 * hidden, inputs), 0.01)
        self.w_dense = drawn((4 * hidden, hidden), 0.01)
        self.w_diag = drawn((1, 3 * hidden), 0.1)
        self.bias = nn.Parameter(torch.zeros(1, 4 * hidden))

    def forward(self, x: Tensor | None, state: State) -> State:
        """The next state, from the layer's input (B, inputs), None for none, and its state."""
        gates = F.linear(state.h, self.w_dense) + self.bias
        if x is not None:
            gates = gates + F.linear(x, self.w_input)
        i, f, a, o = gates.chunk(4, dim=1)
        of_i, of_f, of_o = self.w_diag.chunk(3, dim=1)
        i = torch.sigmoid(i + of_i * state.c)
        f = torch.sigmoid(f + of_f * state.c)
        c = f * state.c + i * torch.tanh(a)
        return State(torch.sigmoid(o + of_o * c) * torch.tanh(c), c)


class Layers(nn.Module):
    """Cells one above the other, each reading the output of the one below."""

    def __init__(self, pixels: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = zip((pixels, *hidden[:-1]), hidden, strict=True)
        self.cells = nn.ModuleList(PeepholeLSTMCell(*pair) for pair in widths)

    def step(self, x: Tensor | None, states: Sequence[State]) -> list[State]:
        """All layers' next states."""
        following = []
        for cell, state in zip(self.cells, states, strict=True):
            following.append(cell(x, state))
            x = following[-1].h
        return following


class Encoder(Layers):
    """Reads frames."""

    def forward(self, frames: Tensor) -> list[State]:
        """The last states, from (B, T, D)."""
        widths = [cast("PeepholeLSTMCell", cell).hidden for cell in self.cells]
        zeros = [frames.new_zeros(len(frames), width) for width in widths]
        states = [State(zero, zero) for zero in zeros]
        for x in frames.unbind(1):
            states = self.step(x, states)
        return states


class Decoder(Layers):
    """Writes frames out of an encoder's last states; its first step has no input.

    Args:
        copy_state: the encoder's last state is the one of the first frame; else it is the one
            before.
    """

    def __init__(self, pixels: int, hidden: Sequence[int], *, copy_state: bool) -> None:
        super().__init__(pixels, hidden)
        self.copy_state = copy_state
        self.w_output = drawn((pixels, hidden[-1]), 0.01)
        self.b_output = nn.Parameter(torch.zeros(1, pixels))

    def forward(
        self,
        states: list[State],
        steps: int,
        frames: Tensor | None = None,
        truth: Tensor | None = None,
    ) -> Tensor:
        """Logits of frames, (B, steps, D).

        Args:
            states: the encoder's last ones.
            steps: how many frames.
            frames: (B, steps - 1 or more, D), the true ones, to be fed after each; None feeds the
                written ones.
            truth: (B, steps - 1), 1 where the true one is fed; None: everywhere.
        """
        written: list[Tensor] = []
        for t in range(steps):
            x = fed(written[-1], t - 1, frames, truth) if t else None
            if t or not self.copy_state:
                states = self.step(x, states)
            written.append(F.linear(states[-1].h, self.w_output) + self.b_output)
        return torch.stack(written, dim=1)


def fed(logits: Tensor, t: int, frames: Tensor | None, truth: Tensor | None) -> Tensor:
    """The input after frame t was written: that frame (B, D), the true one, or a mixture."""
    if frames is None:
        return torch.sigmoid(logits)
    if truth is None:
        return frames[:, t]
    given = truth[:, t, None].to(frames)
    return given * frames[:, t] + (1 - given) * torch.sigmoid(logits)


class FCLSTM(Predictor):
    """An encoder, a decoder that recalls its frames backwards, and one that continues them.

    The first decoder is there for the loss, and always fed true frames, at test time as well.

    Args:
        cross_entropy: the source's loss; else the suite's, of both decoders' frames.
    """

    def __init__(
        self, encoder: Encoder, reconstruction: Decoder, future: Decoder, *, cross_entropy: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.reconstruction = reconstruction
        self.future = future
        self.cross_entropy = cross_entropy

    def forward(self, context: Tensor, horizon: int) -> Tensor:
        logits = self.future(self.encoder(context.flatten(2)), horizon)
        frames = torch.sigmoid(logits).to(context.dtype)
        return frames.view(*frames.shape[:2], *context.shape[2:])

    def logits(
        self, context: Tensor, target: Tensor, truth: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Of the reversed context and of the future, (B, T, D), true frames fed as in training."""
        states = self.encoder(context.flatten(2))
        backwards = context.flip(1).flatten(2)
        recalled = self.reconstruction(states, context.shape[1], backwards)
        return recalled, self.future(states, target.shape[1], target.flatten(2), truth)

    def losses(self, context: Tensor, target: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Of both decoders; true frames are fed but where the suite asks for a sampling."""
        truth = None
        if progress.truth is not None or progress.sampling.kind != "none":
            before, after = context.shape[1], target.shape[1]
            truth = progress.mask(len(context), before, after)[:, before:].to(target.device)
        recalled, continued = self.logits(context, target, truth)
        pairs = {
            "reconstruction": (recalled, context.flip(1).flatten(2)),
            "future": (continued, target.flatten(2)),
        }
        if self.cross_entropy:
            return {name: cross_entropy(*pair) for name, pair in pairs.items()}
        return {
            f"{name}_{term}": value
            for name, (logits, frames) in pairs.items()
            for term, value in progress.criterion(torch.sigmoid(logits).to(frames), frames).items()
        }


def cross_entropy(logits: Tensor, frames: Tensor) -> Tensor:
    """Between Bernoulli distributions of pixels, summed over all of them, the batch's too.

    The source reports its mean over frames, and descends the gradient of the sum.
    """
    return F.binary_cross_entropy_with_logits(logits, frames.to(logits), reduction="sum")


@register_model("fc_lstm")
def fc_lstm(
    clip: Clip,
    *,
    hidden: Counts = (2048,),
    copy_state: bool = False,
    loss: Literal["cross_entropy", "suite"] = "cross_entropy",
) -> Predictor:
    """FC-LSTM; the defaults are the authors' for Moving MNIST.

    Args:
        hidden: units of each layer, from the frames on; one layer of 2048, or two.
        copy_state: the decoders write their first frame from the encoder's last state itself; else
            they go a step without an input first.
        loss: `cross_entropy`, the source's sum over pixels, frames and sequences, whatever the
            suite's loss; or the `suite`'s loss of both decoders' frames.
    """
    pixels = clip.channels * clip.height * clip.width
    return FCLSTM(
        Encoder(pixels, hidden),
        Decoder(pixels, hidden, copy_state=copy_state),
        Decoder(pixels, hidden, copy_state=copy_state),
        cross_entropy=loss == "cross_entropy",
    )
