"""How Vercel's API says no."""

from json import JSONDecodeError

from aiohttp import web
from aiohttp.typedefs import Handler


class ApiError(Exception):
    """The API says no: HTTP status, the error's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def refusal(status: int, code: str, message: str) -> web.Response:
    """Answer with an error, in the documented shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@web.middleware
async def in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an error where a handler raised one, or where there is none."""
    try:
        return await handler(request)
    except ApiError as error:
        return refusal(error.status, error.code, str(error))
    except JSONDecodeError as error:
        return refusal(400, "bad_request", f"Invalid JSON: {error}.")
    except web.HTTPNotFound:
        return refusal(404, "not_found", f"There is no {request.path}.")
    except web.HTTPMethodNotAllowed:
        return refusal(405, "method_unknown", f"{request.method} is not for {request.path}.")
