"""Plans in the form that other programs read."""

from __future__ import annotations

from coinfer.planner.export.litellm import Exported as Exported
from coinfer.planner.export.litellm import litellm_export as litellm_export
from coinfer.planner.export.litellm import write_litellm as write_litellm
from coinfer.planner.export.routing import Routing as Routing
from coinfer.planner.export.routing import read_routing as read_routing
