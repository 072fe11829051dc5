"""The queue and its batches: who is computed with whom, where, and what happens to those who are not."""

import asyncio
import threading

import numpy as np
import pytest

from budgetnet.serve import batcher as module
from budgetnet.serve.batcher import Batcher
from budgetnet.serve.refusal import Refusal
from tests.serve_demo import images_of, run, served


class Gate:
    """Holds the inference thread in a batch until it is opened."""

    def __init__(self, model):
        self.entered, self.opened = threading.Event(), threading.Event()
        inner = model.predictor.predict

        def predict(images):
            self.entered.set()
            assert self.opened.wait(20)
            return inner(images)

        model.predictor.predict = predict

    async def until_entered(self):
        assert await asyncio.to_thread(self.entered.wait, 20)


def batches(model):
    return [size for size in model.predictor._session.batches if size != "closed"]


def with_batcher(test, limit=1000, inline=1.0, **options):
    """Run ``test(batcher)`` on an event loop."""

    async def inside():
        batcher = Batcher(limit, inline=inline, **options)
        try:
            return await test(batcher)
        finally:
            batcher.close()

    return run(inside())


def learnt(batcher, model, seconds):
    """As if the model had been warmed and found to take ``seconds`` an image."""
    batcher._speeds[model] = module.Speed()
    batcher._speeds[model].learn(1, seconds)


@pytest.mark.parametrize("inline", [0.0, 10.0])
def test_answers_are_the_predictors(inline):
    model = served()
    images = images_of(3, 1, 4, 1, 5)

    async def test(batcher):
        learnt(batcher, model, 0.001)
        return await batcher.submit(model, images)

    answer = with_batcher(test, inline=inline)
    expected = model.predictor.predict(images)
    assert answer.digits == expected.digits.tolist() == [3, 1, 4, 1, 5]
    assert np.abs(np.array(answer.probabilities) - expected.probabilities).max() < 1e-6
    assert answer.computed > 0
    assert answer.queued >= 0


@pytest.mark.parametrize("inline", [0.0, 10.0])
def test_requests_of_one_turn_are_one_batch(inline):
    model = served()

    async def test(batcher):
        learnt(batcher, model, 1e-6)
        return await asyncio.gather(*(batcher.submit(model, images_of(digit)) for digit in range(10)))

    answers = with_batcher(test, inline=inline)
    assert [answer.digits for answer in answers] == [[digit] for digit in range(10)]
    assert batches(model) == [10]


def test_quick_batches_are_computed_by_the_event_loop_and_others_by_the_thread():
    quick, slow = served("quick"), served("slow")

    async def test(batcher):
        learnt(batcher, quick, 1e-6)
        learnt(batcher, slow, 1.0)
        await batcher.submit(quick, images_of(1))
        await batcher.submit(slow, images_of(1))
        await batcher.submit(served("unknown"), images_of(1))

    with_batcher(test, inline=0.01)
    assert quick.predictor._session.threads == {threading.current_thread().name}
    assert slow.predictor._session.threads == {"inference"}


def test_a_model_that_is_not_warm_is_left_to_the_thread():
    model = served()
    with_batcher(lambda batcher: _submitted(batcher, model))
    assert model.predictor._session.threads == {"inference"}


async def _submitted(batcher, model):
    return await batcher.submit(model, images_of(1))


def test_what_is_queued_while_the_thread_computes_is_its_next_batch():
    model = served()
    gate = Gate(model)

    async def test(batcher):
        first = batcher.submit(model, images_of(0))
        await gate.until_entered()
        others = [batcher.submit(model, images_of(digit)) for digit in (1, 2, 3)]
        assert batcher.waiting == 3
        gate.opened.set()
        return [(await answer).digits for answer in (first, *others)]

    assert with_batcher(test) == [[0], [1], [2], [3]]
    assert batches(model) == [1, 3]


def test_a_large_request_is_split_and_others_come_in_between():
    model = served()
    gate = Gate(model)
    large = images_of(*[place % 10 for place in range(100)])

    async def test(batcher):
        first = batcher.submit(model, images_of(0))
        await gate.until_entered()
        whole = batcher.submit(model, large)
        order = []
        whole.add_done_callback(lambda _: order.append("large"))
        small = batcher.submit(model, images_of(7))
        small.add_done_callback(lambda _: order.append("small"))
        gate.opened.set()
        await asyncio.gather(first, whole, small)
        return whole.result().digits, order

    digits, order = with_batcher(test)
    assert digits == [place % 10 for place in range(100)]
    assert order == ["small", "large"]
    assert batches(model) == [1, 32, 32, 32, 5]


def test_models_take_turns():
    first, second = served("first"), served("second")
    gate = Gate(first)

    async def test(batcher):
        started = batcher.submit(first, images_of(0))
        await gate.until_entered()
        order = []
        futures = [started]
        for model, images in ((first, images_of(*[1] * 64)), (second, images_of(2))):
            futures.append(batcher.submit(model, images))
            futures[-1].add_done_callback(lambda _, name=model.name: order.append(name))
        gate.opened.set()
        await asyncio.gather(*futures)
        return order

    assert with_batcher(test) == ["second", "first"]
    assert batches(first) == [1, 32, 32]
    assert batches(second) == [1]


def test_bytes_and_floats_share_a_batch():
    model = served()
    gate = Gate(model)

    async def test(batcher):
        first = batcher.submit(model, images_of(0))
        await gate.until_entered()
        others = [batcher.submit(model, images_of(3)), batcher.submit(model, (images_of(4) / 255).astype(np.float32))]
        gate.opened.set()
        await asyncio.gather(first, *others)
        return [future.result() for future in others]

    as_bytes, as_floats = with_batcher(test)
    assert (as_bytes.digits, as_floats.digits) == ([3], [4])
    assert batches(model) == [1, 2]
    assert as_bytes.probabilities[0][3] == as_floats.probabilities[0][4]


def test_a_full_queue_is_busy_and_empties_again():
    model = served()
    gate = Gate(model)

    async def test(batcher):
        computing = batcher.submit(model, images_of(0))
        await gate.until_entered()
        waiting = batcher.submit(model, images_of(*[1] * 8))
        with pytest.raises(Refusal) as found:
            batcher.submit(model, images_of(1, 1, 1))
        fits = batcher.submit(model, images_of(1, 1))
        gate.opened.set()
        await asyncio.gather(computing, waiting, fits)
        await batcher.submit(model, images_of(1))
        assert batcher.waiting == 0
        return found.value

    found = with_batcher(test, limit=10)
    assert (found.status, found.code) == (503, "busy")
    assert found.headers == ((b"retry-after", b"1"),)
    assert "8 images are waiting already and 10 may" in found.message


def test_a_request_above_the_limit_is_taken_where_nothing_waits():
    model = served()
    answer = with_batcher(lambda batcher: _all_of(batcher, model), limit=10)
    assert len(answer.digits) == 64


async def _all_of(batcher, model):
    return await batcher.submit(model, images_of(*[1] * 64))


@pytest.mark.parametrize("inline", [0.0, 10.0])
def test_who_is_gone_is_not_computed(inline):
    model = served()

    async def test(batcher):
        learnt(batcher, model, 0.001)
        gone = batcher.submit(model, images_of(1))
        there = batcher.submit(model, images_of(2))
        gone.cancel()
        answer = await there
        assert batcher.waiting == 0
        return answer.digits

    assert with_batcher(test, inline=inline) == [2]
    assert batches(model) == [1]


def test_where_everyone_is_gone_nothing_is_computed():
    model = served()

    async def test(batcher):
        batcher.submit(model, images_of(1)).cancel()
        return (await batcher.submit(model, images_of(2))).digits

    assert with_batcher(test) == [2]
    assert batches(model) == [1]


@pytest.mark.parametrize("inline", [0.0, 10.0])
def test_a_batch_that_fails_is_an_answer_and_the_next_one_works(inline):
    model = served()

    async def test(batcher):
        learnt(batcher, model, 0.001)
        model.predictor._session.error = MemoryError("no room")
        with pytest.raises(Refusal) as found:
            await batcher.submit(model, images_of(1, 2))
        model.predictor._session.error = None
        assert (await batcher.submit(model, images_of(3))).digits == [3]
        return found.value

    found = with_batcher(test, inline=inline)
    assert (found.status, found.code) == (503, "failed")
    assert "MemoryError" in found.message
    assert "no room" not in found.message


def test_the_event_loop_lives_while_a_batch_computes():
    model = served()
    gate = Gate(model)

    async def test(batcher):
        learnt(batcher, model, 1.0)
        computing = batcher.submit(model, images_of(1))
        await gate.until_entered()  # the loop turns: it gets here
        gate.opened.set()
        return (await computing).digits

    assert with_batcher(test, inline=0.001) == [1]


def test_every_batch_is_observed_once():
    model, seen = served(), []

    async def test(batcher):
        await batcher.submit(model, images_of(1, 2, 3))
        await batcher.submit(model, images_of(*[1] * 40))

    with_batcher(test, observe=lambda batch, seconds: seen.append((batch.model.name, batch.number, seconds > 0)))
    assert seen == [("demo", 3, True), ("demo", 32, True), ("demo", 8, True)]


def test_warming_runs_every_size_that_is_used():
    model = served()
    with_batcher(lambda batcher: batcher.warm(model))
    assert batches(model) == [1, 1, 8, 8, 32, 32]


def test_closing_refuses_what_waits_and_what_comes():
    model = served()
    gate = Gate(model)

    async def test():
        batcher = Batcher(100)
        computing = batcher.submit(model, images_of(1))
        await gate.until_entered()
        waiting = batcher.submit(model, images_of(2))
        threading.Timer(0.05, gate.opened.set).start()
        batcher.close()
        with pytest.raises(Refusal) as refused:
            await waiting
        with pytest.raises(Refusal) as late:
            batcher.submit(model, images_of(3))
        return (await computing).digits, refused.value.code, late.value.code

    assert run(test()) == ([1], "shutting_down", "shutting_down")


def test_many_clients_of_two_models_all_get_their_own_answer():
    models = served("one"), served("two")

    async def test(batcher):
        for model in models:
            learnt(batcher, model, 0.0001)

        async def client(number):
            drawn = np.random.default_rng(number)
            for _ in range(20):
                digits = drawn.integers(0, 10, drawn.integers(1, 50)).tolist()
                answer = await batcher.submit(models[number % 2], images_of(*digits))
                assert answer.digits == digits
                if number % 3 == 0:
                    await asyncio.sleep(0)

        await asyncio.gather(*(client(number) for number in range(24)))
        return batcher.waiting

    assert with_batcher(test, inline=0.002) == 0
    assert max(batches(models[0])) == 32
