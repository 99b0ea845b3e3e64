"""Results that the provider clears by itself: which, and what the model reads then.

The whole conversation is sent on; how many results the provider is to keep grows with each of them, so that what it
clears stays the same from turn to turn and its cache finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlay.policies.shortening import results_before_tail, without_first
from outlay.protocols.context_editing import edits_context
from outlay.protocols.model import Model
from outlay.values.request import ContextEdit, ModelRequest
from outlay.values.transcript import Transcript


@dataclass(slots=True)
class NativeClearing:
    """`wanted`: the user asked for it. `uses`: the first so many results are cleared."""

    wanted: bool
    uses: int = 0

    def takes(self, model: Model, request: ModelRequest, view: Transcript, keep_turns: int) -> bool:
        """Let the provider clear what stands before the last turns. Not where it does not do that, nor where a call has
        failed: it would clear that too."""
        results = results_before_tail(view, keep_turns)
        if not (self.wanted and edits_context(model, request)) or any(result.is_error for result in results):
            self.uses = 0
            return False
        self.uses = len(results)
        return True

    def read(self, view: Transcript) -> Transcript:
        """About what the model reads of what is sent."""
        return without_first(view, self.uses) if self.uses else view

    def edit(self, view: Transcript) -> ContextEdit | None:
        """What to ask the provider for."""
        if not self.uses:
            return None
        return ContextEdit(sum(len(message.tool_results) for message in view.messages) - self.uses)
