"""Server-Sent Events and long polls: one thread holds all clients, another one looks at the catalog for them."""

import asyncio
import re
import resource
import socket
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock, Thread, main_thread
from typing import Any, TypeVar

import structlog
from flask import Response
from werkzeug.datastructures import Headers

from gateway.connections import Held, company, head, merged, send
from pipeline.errors import Unavailable
from pipeline.problems import RETRY_AFTER, Problem

STREAM = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # or nginx keeps events until its buffer is full
}
RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a client that was cut off comes back."""
KEEP_ALIVE = b": keep-alive\n\n"
CLOSE_SECONDS = 5
END_SECONDS = 0.5
"""How often the hub makes sure that its process is not about to end."""

A = TypeVar("A")
B = TypeVar("B")

log = structlog.get_logger()


@dataclass(frozen=True)
class Event:
    """One event (https://html.spec.whatwg.org/multipage/server-sent-events.html); `id` and `name` are single lines."""

    id: str
    name: str
    data: str

    def __bytes__(self) -> bytes:
        data = "".join(f"data: {line}\n" for line in re.split("\r\n|\r|\n", self.data))
        return f"id: {self.id}\nevent: {self.name}\n{data}\n".encode()


News = tuple[list[Event], str | None, bool]
Source = Callable[[str | None], News]
"""What happened after the cursor (None: the present state), the new cursor, and whether the stream is over.

Hashable: sources that are equal and stand at the same cursor share a look. Runs outside the request; may raise `Unavailable`.
"""
Ready = Callable[[bool], Response | None]
"""The response, or None if it is too early for one; never None if the argument says that time is up.

Hashable, and run outside the request, like a source. May raise `Problem` and `Unavailable`.
"""


class Hub:
    """Holds the connections of clients that wait. Its threads start with the first of them.

    In seconds: `interval` between two looks, `keep_alive` between two signs of life, `stall` in which a client must take
    what it is sent; `until` is a time of `time.monotonic`. Of its `limit` clients one owner may have `share`. What it
    gives is for a view to return.
    """

    def __init__(
        self,
        interval: float = 1.0,
        keep_alive: float = 15.0,
        stall: float = 30.0,
        limit: int = 1000,
        share: int = 250,
    ) -> None:
        self.interval = interval
        self.keep_alive = keep_alive
        self.stall = stall
        self.limit = limit
        self.share = share
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: dict[object, str | None] = {}
        """The owner of each client."""
        self._looks: dict[Any, asyncio.Future[Any]] = {}
        self._turn = 0
        self._away = False

    @property
    def full(self) -> bool:
        """Whether `limit` clients are held, or as many as may have half of the process's file descriptors."""
        return len(self._held) >= min(self.limit, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def has_all_of(self, owner: str | None) -> bool:
        """Whether `owner` has a whole share; None stands for clients that are refused and about to go."""
        return list(self._held.values()).count(owner) >= self.share

    def stream(self, owner: str, source: Source, cursor: str | None, until: float) -> Response:
        """The events of `source` until it is over, the client leaves or stalls, or `until`. Raises `Problem` if full."""
        return self._response(
            owner,
            lambda client, headers: self._tell(client, source, _Place(cursor, self.keep_alive), until, headers),
            lambda: Response(self.iterate(owner, source, cursor, until), headers=STREAM),
        )

    def wait(self, owner: str, ready: Ready, until: float) -> Response:
        """What `ready` gives, as soon as there is something and `until` at the latest. Raises `Problem` if full."""
        return self._response(
            owner,
            lambda client, headers: self._reply(client, ready, until, headers),
            lambda: self._reply_here(owner, ready, until),
        )

    def iterate(self, owner: str, source: Source, cursor: str | None, until: float) -> Generator[bytes]:
        """The body of `stream`, made in the caller's own thread."""
        place = _Place(cursor, self.keep_alive)
        with self._counted(owner):
            yield RETRY
            while time.monotonic() < until:
                if words := place.words(self._ask(source, place.cursor)):
                    yield words
                if place.over:
                    return
                time.sleep(self.interval)

    def close(self) -> None:
        """Cuts off all clients and ends the threads; another listener would start them again."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end.set)
                self._thread.join(CLOSE_SECONDS)
                self._loop = None

    def hold(self, talk: Coroutine[Any, Any, None], owner: str | None = None) -> None:
        """Runs `talk`, which has a connection of its own and ends by itself, in the hub's thread."""
        with self._lock:
            held = asyncio.run_coroutine_threadsafe(talk, self._running())
        self._held[held] = owner
        held.add_done_callback(self._held.pop)

    def _response(
        self,
        owner: str,
        talk: Callable[[socket.socket, Headers], Coroutine[Any, Any, None]],
        here: Callable[[], Response],
    ) -> Response:
        self._admit(owner)
        return Held(lambda client, headers: self.hold(talk(client, headers), owner), here)

    def _admit(self, owner: str) -> None:
        later = {"Retry-After": str(RETRY_AFTER)}
        if self.has_all_of(owner):
            detail = f"You listen or wait {self.share} times here already, the most there may be; end one of them."
            raise Problem("too_many_requests", detail, headers=later)
        if self.full:
            raise Problem("unavailable", "Too many clients are listening here; try again soon.", headers=later)

    @contextmanager
    def _counted(self, owner: str) -> Iterator[None]:
        """Counts a client who keeps a thread."""
        client = object()
        self._held[client] = owner
        try:
            yield
        finally:
            del self._held[client]

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_default_executor(ThreadPoolExecutor(1, "looks"))
            self._end = asyncio.Event()
            self._thread = Thread(target=_run, args=(self._loop, self._end), name="listeners")
            self._thread.start()
        return self._loop

    async def _tell(
        self, client: socket.socket, source: Source, place: "_Place", until: float, headers: Headers
    ) -> None:
        began = time.monotonic()
        try:
            with company(client, self.stall):
                async with asyncio.timeout_at(until):
                    await send(client, head("200 OK", merged(headers, STREAM)) + RETRY, self.stall)
                    await self._follow(client, source, place)
        finally:
            log.info("a listener has gone", seconds=round(time.monotonic() - began, 3), events=place.events)

    async def _follow(self, client: socket.socket, source: Source, place: "_Place") -> None:
        while True:
            look = self._look(self._ask, source, place.cursor)
            done, _ = await asyncio.wait({look}, timeout=self.keep_alive)
            if words := place.words(look.result() if done else None):
                await send(client, words, self.stall)
            if place.over:
                return
            await self._pause()

    async def _reply(self, client: socket.socket, ready: Ready, until: float, headers: Headers) -> None:
        with company(client, self.stall):
            while (response := await self._last_look(ready, until)) is None:
                await self._pause(until)
            body = response.get_data()
            full = merged(merged(headers, response.headers), {"Content-Length": str(len(body))})
            await send(client, head(response.status, full) + body, self.stall)

    async def _last_look(self, ready: Ready, until: float) -> Response | None:
        look = self._look(self._answer, ready, time.monotonic() >= until)
        await asyncio.wait({look})
        response: Response | None = look.result()
        return response

    def _reply_here(self, owner: str, ready: Ready, until: float) -> Response:
        with self._counted(owner):
            while (response := self._answer(ready, time.monotonic() >= until)) is None:
                time.sleep(max(0.0, min(self.interval, until - time.monotonic())))
        return response

    def _look(self, *call: Any) -> asyncio.Future[Any]:
        """The one look of this interval, for all who stand at the same place; one that still lasts is waited for."""
        loop = asyncio.get_running_loop()
        turn = int(time.monotonic() / self.interval)
        if turn != self._turn:
            self._turn = turn
            self._looks = {place: look for place, look in self._looks.items() if not look.done()}
        if call not in self._looks:
            try:
                self._looks[call] = loop.run_in_executor(None, *call)
            except RuntimeError:  # the interpreter is ending and takes no more work
                raise asyncio.CancelledError from None
        return self._looks[call]

    async def _pause(self, until: float = float("inf")) -> None:
        """All wake together, so that they can share a look."""
        now = time.monotonic()
        await asyncio.sleep(min(self.interval - now % self.interval, until - now))

    def _ask(self, question: Callable[[A], B], argument: A) -> B | None:
        """None if there is no answer now; said once, however many listen."""
        try:
            answer = question(argument)
        except Unavailable as error:
            if not self._away:
                log.warning("listeners wait for a part that is away", cause=str(error))
            self._away = True
            return None
        self._away = False
        return answer

    def _answer(self, ready: Ready, final: bool) -> Response | None:
        try:
            response = self._ask(ready, final)
        except Problem as problem:
            return problem.response()
        except Exception as error:
            log.error("the request failed", exc_info=error)
            return Problem("internal").response()
        if final and response is None:
            return Problem("unavailable", headers={"Retry-After": str(RETRY_AFTER)}).response()
        return response


@dataclass
class _Place:
    """Where a listener stands, and what it is told next. `keep_alive` is in seconds."""

    cursor: str | None
    keep_alive: float
    over: bool = False
    events: int = 0
    spoken: float = field(default_factory=time.monotonic)

    def words(self, news: News | None) -> bytes:
        """The bytes to send, if any."""
        events, self.cursor, self.over = news or ([], self.cursor, False)
        if not events and time.monotonic() < self.spoken + self.keep_alive:
            return b""
        self.spoken = time.monotonic()
        self.events += len(events)
        return b"".join(map(bytes, events)) or KEEP_ALIVE


def _run(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_ended(end))


async def _ended(end: asyncio.Event) -> None:
    """Waits for `end`, or that of the process: a thread that is cut off while it writes to the log would abort Python."""
    while main_thread().is_alive() and not end.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), END_SECONDS)
