"""Batches of the OpenAI protocol: a file of requests in, a file of answers and a file of errors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from outlay.emulator import json
from outlay.emulator.batches import WINDOW, Batch, Entry, Schedule, run_finished
from outlay.emulator.engine import Engine
from outlay.emulator.files import Files, listing
from outlay.emulator.ids import Ids
from outlay.emulator.json import Json, table, text, whole
from outlay.emulator.openai_prompt import missing
from outlay.emulator.problems import ErrorAnswer, Problem, invalid, not_found
from outlay.emulator.wire import Wire

_VALIDATING, _FINALIZING = 0.1, 0.9
"""Shares of a batch's time: until then it is validated, from then on its files are written."""
_UNFINISHED = {
    "cancelled": ("batch_cancelled", "This request was cancelled because the batch was cancelled."),
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
}


@dataclass(slots=True)
class _Job:
    batch: Batch
    endpoint: str
    input_file_id: str
    metadata: Json | None
    faults: list[Json]
    output_file_id: str | None = None
    error_file_id: str | None = None


class OpenAIBatches:
    """All batches. `wires`: the end points that batches may call; `seconds`: how long each takes, `change` what becomes
    of the lines of its answers."""

    def __init__(
        self,
        wires: Mapping[str, Wire],
        engine: Engine,
        files: Files,
        ids: Ids,
        clock: Callable[[], float],
        seconds: float,
        change: Callable[[list[bytes]], list[bytes]],
    ) -> None:
        self._wires = wires
        self._engine = engine
        self._files = files
        self._ids = ids
        self._clock = clock
        self._seconds = seconds
        self._change = change
        self._jobs: dict[str, _Job] = {}

    def clear(self) -> None:
        """Forget them."""
        self._jobs.clear()

    def create(self, body: Json, key: str) -> Json:
        """A new batch, being validated."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not body.get(name):
                raise missing(name)
        if (endpoint := text(body["endpoint"])) not in self._wires:
            raise invalid(
                f"Invalid value: '{endpoint}'. Supported values are: {', '.join(map(repr, self._wires))}.",
                param="endpoint",
                code="invalid_value",
            )
        try:
            entries, faults = _parsed(self._files.find(text(body["input_file_id"])).content, endpoint)
        except Problem as problem:
            raise invalid(str(problem), param="input_file_id") from problem
        schedule = Schedule(self._clock(), self._seconds, len(entries))
        batch = Batch(self._ids.draw("batch_"), entries, schedule, key)
        metadata = table(body["metadata"]) if body.get("metadata") else None
        job = _Job(batch, endpoint, text(body["input_file_id"]), metadata, faults)
        self._jobs[batch.id] = job
        return self._body(job, "validating")

    async def retrieve(self, batch_id: str) -> Json:
        """A batch as it stands."""
        job = self._find(batch_id)
        if not job.faults:
            await run_finished(job.batch, self._wires[job.endpoint], self._engine, self._clock())
        return self._body(job)

    async def list(self, query: Mapping[str, str]) -> Json:
        """Batches, the newest first."""
        return listing([await self.retrieve(batch_id) for batch_id in reversed(self._jobs)], query, limit=20)

    async def cancel(self, batch_id: str) -> Json:
        """Stop a batch; it says so at once and is cancelled when looked at again."""
        body = await self.retrieve(batch_id)
        if body["status"] in ("completed", "failed", "expired", "cancelled"):
            raise invalid(f"Cannot cancel a batch with status '{body['status']}'.", code="invalid_request")
        job = self._find(batch_id)
        job.batch.schedule.cancelled = self._clock()
        return self._body(job, "cancelling")

    def _find(self, batch_id: str) -> _Job:
        if (job := self._jobs.get(batch_id)) is None:
            raise not_found(f"No batch found with id '{batch_id}'.")
        return job

    def _status(self, job: _Job) -> str:
        schedule, now = job.batch.schedule, self._clock()
        if job.faults:
            return "failed"
        if schedule.ended(now) is None:
            share = (now - schedule.created) / max(schedule.duration, 1e-9)
            return "validating" if share < _VALIDATING else "in_progress" if share < _FINALIZING else "finalizing"
        if schedule.cancelled is not None:
            return "cancelled"
        return "expired" if "expired" in job.batch.fates(now) else "completed"

    def _body(self, job: _Job, status: str = "") -> Json:
        status = status or self._status(job)
        schedule = job.batch.schedule
        over = status in ("completed", "cancelled", "expired")
        if over and job.output_file_id is None and job.error_file_id is None:
            self._write_files(job)
        done = [entry for entry in job.batch.entries if entry.result is not None]
        failed = [entry for entry in job.batch.entries if entry.error is not None]
        ended = int(schedule.ended(self._clock()) or 0)
        started = (
            None if status in ("validating", "failed") else int(schedule.created + schedule.duration * _VALIDATING)
        )
        return {
            "id": job.batch.id,
            "object": "batch",
            "endpoint": job.endpoint,
            "model": None if status in ("validating", "failed") else job.batch.entries[0].body.get("model"),
            "errors": {"object": "list", "data": job.faults} if status == "failed" else None,
            "input_file_id": job.input_file_id,
            "completion_window": "24h",
            "status": status,
            "output_file_id": job.output_file_id,
            "error_file_id": job.error_file_id,
            "created_at": int(schedule.created),
            "in_progress_at": started,
            "expires_at": int(schedule.created + WINDOW),
            "finalizing_at": ended if over else None,
            "completed_at": ended if status == "completed" else None,
            "failed_at": int(schedule.created) if status == "failed" else None,
            "expired_at": ended if status == "expired" else None,
            "cancelling_at": None if schedule.cancelled is None else int(schedule.cancelled),
            "cancelled_at": ended if status == "cancelled" else None,
            "request_counts": {
                "total": 0 if status in ("validating", "failed") else len(job.batch.entries),
                "completed": len(done),
                "failed": len(failed),
            },
            "usage": _usage([table(entry.result) for entry in done] if over else []),
            "metadata": job.metadata,
        }

    def _write_files(self, job: _Job) -> None:
        outputs: list[Json] = []
        errors: list[Json] = []
        for entry, fate in zip(job.batch.entries, job.batch.fates(self._clock()), strict=True):
            line: Json = {"id": self._ids.draw("batch_req_"), "custom_id": entry.custom_id}
            if fate != "finished":
                code, message = _UNFINISHED[fate]
                errors.append(line | {"response": None, "error": {"code": code, "message": message}})
            elif entry.error is not None:
                errors.append(line | {"response": self._response(entry.error), "error": None})
            else:
                response = {"status_code": 200, "request_id": self._ids.draw("req_"), "body": entry.result}
                outputs.append(line | {"response": response, "error": None})
        Random(job.batch.id).shuffle(outputs)  # noqa: S311 - the API promises no order
        if outputs:
            job.output_file_id = self._store(job, "output", outputs)
        if errors:
            job.error_file_id = self._store(job, "error", errors)

    def _response(self, error: ErrorAnswer) -> Json:
        request_id = self._ids.draw("req_")
        return {
            "status_code": error.status,
            "request_id": request_id,
            "body": error.body("openai", request_id),
        }

    def _store(self, job: _Job, kind: str, lines: list[Json]) -> str:
        encoded = [json.encode(line) for line in lines]
        content = b"".join(line + b"\n" for line in (self._change(encoded) if kind == "output" else encoded))
        return self._files.store(f"{job.batch.id}_{kind}.jsonl", "batch_output", content).id


def _parsed(content: bytes, endpoint: str) -> tuple[list[Entry], list[Json]]:
    """The entries of an input file, and what is wrong with it, line by line."""
    entries: list[Entry] = []
    faults: list[Json] = []
    seen: set[str] = set()

    def fault(code: str, line: int, message: str, param: str | None = None) -> None:
        faults.append({"code": code, "line": line, "message": message, "param": param})

    for number, line in enumerate(content.splitlines(), start=1):
        try:
            request = table(json.decode(line))
        except ValueError:
            fault("invalid_json_line", number, "This line is not parseable as valid JSON.")
            continue
        custom_id = text(request.get("custom_id"))
        if not custom_id:
            fault("missing_required_parameter", number, "Missing required parameter: 'custom_id'.", "custom_id")
        elif custom_id in seen:
            fault(
                "duplicate_custom_id",
                number,
                f"The custom_id '{custom_id}' is used more than once.",
                "custom_id",
            )
        elif request.get("url") != endpoint:
            fault(
                "invalid_url",
                number,
                "The URL provided for this request does not match the batch endpoint.",
                "url",
            )
        seen.add(custom_id)
        entries.append(Entry(custom_id, table(request.get("body"))))
    if not entries and not faults:
        fault("empty_file", 1, "The input file is empty.")
    return entries, faults


def _usage(results: list[Json]) -> Json:
    """The sum of the usage of all results, in the names of Responses."""
    total = {"input_tokens": 0, "output_tokens": 0, "cached": 0, "reasoning": 0}
    for usage in (table(result.get("usage")) for result in results):
        chat = "prompt_tokens" in usage
        given = table(usage.get("prompt_tokens_details" if chat else "input_tokens_details"))
        made = table(usage.get("completion_tokens_details" if chat else "output_tokens_details"))
        total["input_tokens"] += whole(usage.get("prompt_tokens" if chat else "input_tokens")) or 0
        total["output_tokens"] += whole(usage.get("completion_tokens" if chat else "output_tokens")) or 0
        total["cached"] += whole(given.get("cached_tokens")) or 0
        total["reasoning"] += whole(made.get("reasoning_tokens")) or 0
    return {
        "input_tokens": total["input_tokens"],
        "output_tokens": total["output_tokens"],
        "total_tokens": total["input_tokens"] + total["output_tokens"],
        "input_tokens_details": {"cached_tokens": total["cached"]},
        "output_tokens_details": {"reasoning_tokens": total["reasoning"]},
    }
