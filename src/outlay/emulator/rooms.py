"""The parts of one emulator, put together."""

from __future__ import annotations

from outlay.emulator.anthropic_wire import MessagesWire
from outlay.emulator.chat_wire import ChatWire
from outlay.emulator.engine import Engine
from outlay.emulator.files import Files
from outlay.emulator.ids import Ids
from outlay.emulator.ledger import Ledger
from outlay.emulator.limits import Limiter
from outlay.emulator.message_batches import MessageBatches
from outlay.emulator.openai_batches import OpenAIBatches
from outlay.emulator.responses_wire import ResponsesWire
from outlay.emulator.settings import Settings
from outlay.emulator.signatures import Signer


class Rooms:
    """Every part, built from the settings."""

    def __init__(self, settings: Settings) -> None:
        clock, signer = settings.clock, Signer(settings.seed)
        self.ids = Ids(settings.seed)
        self.ledger = Ledger(settings.keep_requests)
        self.limiter = Limiter(settings.limits, clock)
        self.engine = Engine(
            settings.behaviour, settings.models, settings.seed, clock, self.ids, self.ledger, self.limiter
        )
        self.messages = MessagesWire(signer)
        self.responses = ResponsesWire(signer, self.ids, clock)
        self.chat = ChatWire(clock)
        self.files = Files(self.ids, clock)
        pace = (settings.batch_seconds, settings.batch_results)
        self.message_batches = MessageBatches(self.messages, self.engine, self.ids, clock, *pace)
        wires = {"/v1/responses": self.responses, "/v1/chat/completions": self.chat}
        self.batches = OpenAIBatches(wires, self.engine, self.files, self.ids, clock, *pace)

    def reset(self) -> None:
        """Forget everything that happened."""
        self.ledger.clear()
        self.limiter.clear()
        self.engine.reset()
        self.messages.clear()
        self.responses.clear()
        self.files.clear()
        self.message_batches.clear()
        self.batches.clear()
