"""Builds the review grid when the package is built: with npm where there is one, else the package goes without.

An installation in place builds nothing: start.py sees to the grid, and the notebooks do without it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GridHook(BuildHookInterface):  # type: ignore[type-arg] # the configuration is hatchling's own
    """Runs ``start.build_grid`` before a wheel is packed, and has the result packed although git ignores it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build; a failure is said, and does not keep the package from being made."""
        if version == "editable":
            return
        root = Path(self.root)
        known = importlib.util.spec_from_file_location("start", root / "start.py")
        if known is None or known.loader is None:
            return
        start = importlib.util.module_from_spec(known)
        known.loader.exec_module(start)
        tree = start.Tree(root)
        if start.build_grid(tree, start.run_logged(tree)):
            build_data["artifacts"].append("/carecover/notebook/_grid/*")
        else:
            self.app.display_warning("The review grid was not built; the notebooks use plain controls instead.")
