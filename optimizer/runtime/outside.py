"""What is asked of others than the SolaX cloud: the market for prices, the cars for their charge."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx

from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.goals import Given
from optimizer.runtime.calendar import Job, cron, once
from optimizer.runtime.cars import Cars, askings_from
from optimizer.runtime.goals import Goals
from optimizer.runtime.price_feeds import feeds_from
from optimizer.runtime.prices import Prices
from optimizer.runtime.world import World
from optimizer.sources.http_json import open_web
from optimizer.store.log import Store
from optimizer.store.prices import Remembered
from optimizer.tariffs.asking import LONGEST_DELAY

Run = Callable[[], Awaitable[None]]

_SOON = timedelta(seconds=2)


class Outside:
    """Prices and goals, and the jobs that keep them new; `open` it once, before its jobs are run."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        delay = random.Random(clock.boot_id).random() * LONGEST_DELAY  # noqa: S311 - jitter
        self.prices = Prices(settings.price_plan(), delay)
        self.goals = Goals(settings)
        self._settings = settings
        self._clock = clock
        self._jobs: list[Job] = []

    def open(
        self,
        stack: AsyncExitStack,
        network: httpx.AsyncBaseTransport | None,
        store: Store,
        world: World,
        past: Mapping[str, Remembered],
    ) -> None:
        """Take over what is known and get ready to ask; `stack` closes the connections."""
        web = open_web(network)
        stack.push_async_callback(web.aclose)
        feeds, askings = feeds_from(self._settings, web), askings_from(self._settings, web)
        self.prices.open(feeds, past)
        if feeds:
            self._add("prices", 20, lambda: self.prices.refresh(self._clock.now, store))
        if askings:
            cars = Cars(askings, self.goals, world, store, self._clock)
            self._add("cars", 40, cars.refresh)

    @property
    def jobs(self) -> list[Job]:
        """What the calendar runs."""
        return self._jobs

    def _add(self, name: str, second: int, run: Run) -> None:
        """Run it soon after the start and then every five minutes; it knows itself whether it is due."""
        soon = once(self._clock.now() + _SOON)
        self._jobs += [Job(f"first {name}", soon, run), Job(name, cron(minute="*/5", second=second), run)]


async def serve_goals(
    stack: AsyncExitStack, settings: Settings, clock: Clock, give: Callable[[Given], Awaitable[None]]
) -> None:
    """Open the listener for other programs of this machine, if there is a port for it; `stack` closes it.

    Raises:
        ConfigError: the port cannot be had.

    """
    if settings.web.listen_port is None:
        return
    # They bring a web server along.
    from optimizer.runtime.goal_api import HOST, GoalApi, goal_app
    from optimizer.solax.listener import serve_callbacks

    app = goal_app(GoalApi(settings, clock, give))
    await stack.enter_async_context(serve_callbacks(app, HOST, settings.web.listen_port))
