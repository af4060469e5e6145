"""A PostgreSQL server of Debian's packages, for as long as a test needs it."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
WAIT = 60  # seconds


class Server:
    """A server that only a socket in its own folder leads to.

    It doesn't run as root: then everything is done as the user postgres.

    Args:
        settings: as in postgresql.conf.
    """

    def __init__(self, *settings: str) -> None:
        if not FOUND:
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing("PostgreSQL is not installed: apt-get install postgresql")
        self.folder = Path(tempfile.mkdtemp(prefix="csr-postgres-"))
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self.folder, "postgres", "postgres")
        self._settings = ("listen_addresses=", "shared_buffers=16MB", *settings)
        self._data = self.folder / "data"
        self._process: subprocess.Popen | None = None
        subprocess.run(
            [
                *(FOUND[-1].with_name("initdb"), "-D", self._data, "-U", "postgres"),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._user,
        )
        self.start()

    def start(self) -> None:
        """Start, again if need be, and wait until it answers."""
        deadline = time.monotonic() + WAIT
        while True:
            if self._process is None or self._process.poll() is not None:
                # What a killed server left running may keep the next from starting for a moment.
                self._process = subprocess.Popen(
                    [
                        *(FOUND[-1], "-D", self._data, "-k", self.folder),
                        *(word for setting in self._settings for word in ("-c", setting)),
                    ],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=self.folder,
                    **self._user,
                )
            try:
                self._connect().close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL doesn't answer"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """End the server and everything it started as a power failure would."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        self._process.wait()

    def address(self) -> str:
        """The URL of a new, empty place for tables."""
        name = f"test_{secrets.token_hex(8)}"
        with self._connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        folder = str(self.folder).replace("/", "%2F")
        options = f"-csearch_path%3D{name}"
        return f"postgresql://postgres@/postgres?host={folder}&options={options}"

    def close(self) -> None:
        """Stop, and remove everything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # nothing is worth writing back
            self._process.wait(WAIT)
        shutil.rmtree(self.folder)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres")
