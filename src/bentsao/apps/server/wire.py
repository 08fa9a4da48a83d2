"""The forms of requests and answers, as OpenAI has them, with our own fields where they are told to be ours.

Fields that are not here are ignored. Fields of OpenAI's that would change the answer and that we have not are here too,
so that they are refused and not ignored (`reading.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError


def _whole(text: str) -> str:
    """JSON can spell halves of characters (`\\ud800`), which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("string_unicode", "lone surrogate") from None
    return text


Text = Annotated[str, AfterValidator(_whole)]


class Request(BaseModel):
    """Numbers are numbers and texts are texts: nothing is converted in silence."""

    model_config = ConfigDict(strict=True, frozen=True)


class TextPart(Request):
    """A part of a message; only text is read."""

    type: Literal["text"]
    text: Text


class ChatMessage(Request):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart] | None = None


class StreamOptions(Request):
    """What else a stream tells."""

    include_usage: bool | None = None


class ResponseFormat(Request):
    """Only plain text."""

    type: Literal["text"]


StopWords = Text | Annotated[list[Text], Field(max_length=4)]


class Drawing(Request):
    """What both kinds of request have."""

    model: Text | None = Field(default=None, description="模型名，见 /v1/models；不写则用第一个")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2, description="缺省为 0（贪心），与 OpenAI 不同")
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: int | None = Field(default=None, ge=1, le=8)
    stop: StopWords | None = None
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, description="只能为 0；请用 repetition_penalty")
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, description="只能为 0；请用 repetition_penalty")
    logit_bias: dict[str, float] | None = Field(default=None, description="不支持")
    top_k: int | None = Field(default=None, ge=0, description="扩展：只在概率最大的这么多个 token 里采样；0 为不限")
    repetition_penalty: float | None = Field(
        default=None, gt=0, le=10, description="扩展：对回答中已出现的 token 的惩罚；1 为不惩罚"
    )


class ChatRequest(Drawing):
    """`POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=1)
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Any]] | None = Field(default=None, description="不支持")
    functions: list[dict[str, Any]] | None = Field(default=None, description="不支持")
    grounded: bool | None = Field(default=None, description="扩展：依据知识库回答，并附上依据")


Token = Annotated[int, Field(ge=0)]
Ids = Annotated[list[Token], Field(min_length=1)]
Words = Annotated[str, StringConstraints(min_length=1), AfterValidator(_whole)]
Prompts = (
    Words
    | Annotated[list[Words], Field(min_length=1, max_length=128)]
    | Ids
    | Annotated[list[Ids], Field(min_length=1, max_length=128)]
)


class CompletionRequest(Drawing):
    """`POST /v1/completions`: a text, or token ids, written on as they are, without a chat format."""

    prompt: Prompts
    max_tokens: int | None = Field(default=None, ge=0, description="缺省为 16；为 0 时须有 echo")
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5, description="给出 token 的概率；每处只列最可能的一个")
    best_of: int | None = Field(default=None, ge=1, le=8, description="不支持（与 n 不同时）")
    suffix: str | None = Field(default=None, description="不支持")


# ---- answers --------------------------------------------------------------------------------------------------------


class Usage(BaseModel):
    """Tokens, counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @staticmethod
    def of(prompt: int, completion: int) -> Usage:
        """With the sum."""
        return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


class TopLogprob(BaseModel):
    """A token that may stand in a place."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token that does."""

    top_logprobs: list[TopLogprob] = []


class ChatLogprobs(BaseModel):
    """The tokens of an answer."""

    content: list[TokenLogprob]


class AnswerMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: str | None = None


Finish = Literal["stop", "length"]


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None = None
    finish_reason: Finish


class ChatCompletion(BaseModel):
    """The answer of `/v1/chat/completions`.

    Ours, beside OpenAI's: notice: to be shown with the answer; alarm: the emergency it begins with; grounded: what it
    stands on; dropped_messages: how many of the oldest did not fit.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str
    notice: str
    alarm: dict[str, Any] | None = None
    grounded: dict[str, Any] | None = None
    dropped_messages: int = 0


class CompletionLogprobs(BaseModel):
    """The tokens of a text, side by side; the first of a prompt has no probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One text."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Finish


class Completion(BaseModel):
    """The answer of `/v1/completions`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    system_fingerprint: str


class ModelCard(BaseModel):
    """A model that can be asked. grounded: whether its answers come from the knowledge base."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "bentsao"
    kind: str
    grounded: bool


class ModelList(BaseModel):
    """The answer of `/v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """status: "ok", or "stopping" while no new requests are taken. waiting, working: requests."""

    status: Literal["ok", "stopping"]
    waiting: int
    working: int
