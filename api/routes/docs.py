"""/openapi.json, and /docs: a page to try the API on.

What the page is made of comes from here, and its browser is told to load nothing from anywhere
else: who types a key into it gives it to nobody.
"""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api.answers import answered
from api.problems import Problem

_ASSETS: Final = files("fastapi_offline") / "static"
_SCRIPT, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def get_openapi_document(request: Request) -> Response:
    return answered(request.app.openapi())


@router.get("/docs")
async def get_docs(request: Request) -> Response:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Tallystick",
        swagger_js_url=f"/docs/{_SCRIPT}",
        swagger_css_url=f"/docs/{_STYLE}",
        swagger_favicon_url=f"/docs/{_ICON}",
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


@router.get("/docs/{asset}")
async def get_asset(request: Request, asset: str) -> Response:
    if asset not in (_SCRIPT, _STYLE, _ICON):
        raise Problem("not_found")
    return FileResponse(str(_ASSETS / asset), headers={"Cache-Control": "public, max-age=86400"})
