"""Changes the part while the node goes on: results are of the old part until the new one is ready, then of the new."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from ptad_msgs.msg import ReferenceInfo
from ptad_msgs.srv import ListReferences, LoadReference
from rclpy.callback_groups import ReentrantCallbackGroup

from ptad_core.errors import ConfigError, PtadError
from ptad_core.reference.folder import PartEntry, ReferenceFolder
from ptad_ros.waiting import elsewhere, until, wake

if TYPE_CHECKING:
    from ptad_ros.stage_node import StageNode


class PartServer:
    """Serves ``~/load_reference`` and ``~/list_references``; other threads read files and build references."""

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._loading = self._listing = False
        group = ReentrantCallbackGroup()
        node.create_service(LoadReference, "~/load_reference", self._serve_load, callback_group=group)
        node.create_service(ListReferences, "~/list_references", self._serve_list, callback_group=group)

    async def load(self, part_id: str) -> str:
        """Load a part of the reference folder; return why it could not be, '' where it is loaded.

        Loads are done one after the other, in the order in which they were asked for.
        """
        await until(lambda: not self._loading)
        self._loading = True
        try:
            await self._load(part_id)
        except PtadError as error:
            self._node.get_logger().error(f"cannot load part {part_id!r}: {error}")
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever a CAD file brings about, the old part goes on
            self._node.get_logger().error(f"cannot load part {part_id!r}: {traceback.format_exc()}")
            return f"{type(error).__name__}: {error}"
        finally:
            self._loading = False
            wake(self._node)
        return ""

    async def _load(self, part_id: str) -> None:
        node = self._node
        settings = await elsewhere(node, self._folder().settings, part_id)
        if not node.configured:
            node.choose_part(settings)
            return
        config = node.config_with(settings)
        inspector = await elsewhere(node, node.make_inspector, config)
        if not node.configured:
            raise ConfigError("the node was cleaned up while the part was loaded; ask again")
        node.take_over(inspector, settings, config)

    def _folder(self) -> ReferenceFolder:
        path = self._node.config.reference.folder
        if not path:
            raise ConfigError("reference.folder is not set: start the node with the folder that its parts lie in")
        return ReferenceFolder(path)

    async def _serve_load(self, request: LoadReference.Request,
                          response: LoadReference.Response) -> LoadReference.Response:
        problem = await self.load(request.part_id)
        node = self._node
        response.success = not problem
        response.part_id, response.reference_hash = node.part_id, node.reference_hash
        response.message = problem or (f"inspecting {node.part_id}" if node.configured else
                                       f"{node.part_id} is loaded when the node is configured")
        return response

    async def _serve_list(self, _request: ListReferences.Request,
                          response: ListReferences.Response) -> ListReferences.Response:
        await until(lambda: not self._listing)
        self._listing = True
        try:
            entries = await elsewhere(self._node, self._folder().parts)
        except ConfigError as error:
            response.message = str(error)
            return response
        finally:
            self._listing = False
            wake(self._node)
        response.success = True
        response.references = [self._info(entry) for entry in entries]
        return response

    def _info(self, entry: PartEntry) -> ReferenceInfo:
        loaded = bool(self._node.reference_hash) and entry.part_id == self._node.part_id
        return ReferenceInfo(part_id=entry.part_id, cad=entry.cad, unit=entry.unit, problem=entry.problem,
                             loaded=loaded)
