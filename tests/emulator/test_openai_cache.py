"""OpenAI's prompt cache: automatic in steps up to GPT-5.5, by breakpoints with billed writes from GPT-5.6 on."""

from __future__ import annotations

from typing import Any

LONG = "All the rules of the house. " * 200  # 1,400 tokens


async def usage(c, model: str = "gpt-5.4", instructions: str = LONG, text: str = "Hello?", **more: Any):
    """All, written and read input tokens of one request."""
    ask: dict[str, Any] = {"model": model, "instructions": instructions, "input": text, **more}
    used = (await c.openai.responses.create(**ask)).usage
    details = used.input_tokens_details
    return used.input_tokens, details.cache_write_tokens, details.cached_tokens


async def test_a_prefix_is_read_in_steps_of_128_tokens(connect, clock):
    """Nothing is marked and no write is billed; input tokens include what was cached."""
    c = await connect(clock=clock)
    assert await usage(c) == (1_408, 0, 0)
    assert await usage(c) == (1_408, 0, 1_408)
    assert await usage(c, text="Bye") == (1_407, 0, 1_280)


async def test_a_prompt_below_1024_tokens_is_not_cached(connect, clock):
    """1,023 tokens are not enough; 1,024 are."""
    c = await connect(clock=clock)
    for tokens, read in ((1_023, 0), (1_024, 1_024)):
        prompt = {"instructions": "x" * 4 * (tokens - 3 - 5)}
        await usage(c, **prompt)
        assert await usage(c, **prompt) == (tokens, 0, read)


async def test_an_entry_lives_ten_minutes_from_its_last_use_or_a_day(connect, clock):
    """prompt_cache_retention chooses."""
    c = await connect(clock=clock)
    await usage(c)
    clock.forward(599)
    assert (await usage(c))[2] == 1_408
    clock.forward(601)
    assert (await usage(c, prompt_cache_retention="24h"))[2] == 0
    clock.forward(86_399)
    assert (await usage(c))[2] == 1_408


async def test_chat_completions_share_the_rules(connect, clock):
    """The same steps under the other protocol's names."""
    c = await connect(clock=clock)
    messages: list[Any] = [{"role": "system", "content": LONG}, {"role": "user", "content": "Hello?"}]
    for read in (0, 1_408):
        completion = await c.openai.chat.completions.create(model="gpt-5.4", messages=messages)
        assert completion.usage.prompt_tokens == 1_408
        assert completion.usage.prompt_tokens_details.cached_tokens == read


async def test_newer_models_write_up_to_the_last_user_message_and_bill_it(connect, clock):
    """The break is at the latest user message, so another question misses unless the prefix is marked itself."""
    c = await connect(clock=clock)
    assert await usage(c, "gpt-5.6-sol") == (1_408, 1_408, 0)
    assert await usage(c, "gpt-5.6-sol") == (1_408, 0, 1_408)
    assert await usage(c, "gpt-5.6-sol", text="Bye") == (1_407, 1_407, 0)
    clock.forward(1_800)
    assert (await usage(c, "gpt-5.6-sol"))[1:] == (1_408, 0)


async def test_newer_models_read_a_marked_prefix_under_another_question(connect, clock):
    """An explicit breakpoint keeps the stable part apart; without the implicit one, only it is written."""
    c = await connect(clock=clock)

    async def ask(question: str, **more: Any) -> tuple[int, int]:
        marked = {"type": "input_text", "text": LONG, "prompt_cache_breakpoint": {"mode": "explicit"}}
        items: Any = [{"role": "developer", "content": [marked]}, {"role": "user", "content": question}]
        used = (await c.openai.responses.create(model="gpt-5.6-sol", input=items, **more)).usage
        return used.input_tokens_details.cache_write_tokens, used.input_tokens_details.cached_tokens

    explicit: Any = {"prompt_cache_options": {"mode": "explicit"}}
    assert await ask("Hello?", **explicit) == (1_403, 0)
    assert await ask("Bye.", **explicit) == (0, 1_403)
    assert await ask("Again?") == (5, 1_403)


async def test_a_conversation_reads_its_earlier_turns(connect, clock):
    """Each turn's break is found again by the next."""
    c = await connect(clock=clock, behaviour="Indeed.")
    items: list[Any] = [{"role": "user", "content": LONG}]
    first = await c.openai.responses.create(model="gpt-5.6-sol", input=items)
    items += [{"role": "assistant", "content": "Indeed."}, {"role": "user", "content": "And?"}]
    second = await c.openai.responses.create(model="gpt-5.6-sol", input=items)
    assert second.usage.input_tokens_details.cached_tokens == first.usage.input_tokens
