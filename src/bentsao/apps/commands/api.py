"""The flags of a model behind an OpenAI-style API: which it is, how it is asked, and what that may cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import ValidationError

from bentsao.core.complaints import in_one_line
from bentsao.core.errors import ConfigError
from bentsao.models.remote.asking import Asking, ResponseFormat
from bentsao.models.remote.budget import Prices
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint


@dataclass(frozen=True)
class CallLimits:
    """How a remote model is asked, and what may be spent: the same wherever one is."""

    key_env: Annotated[str, Parameter(help="放密钥的环境变量的名字；密钥只从这里读，不显示也不保存")] = "OPENAI_API_KEY"
    concurrency: Annotated[int, Parameter(help="同时进行的调用数")] = 16
    rpm: Annotated[float | None, Parameter(help="每分钟最多的请求数")] = None
    tpm: Annotated[float | None, Parameter(help="每分钟最多的 token 数")] = None
    max_tokens_budget: Annotated[
        int | None, Parameter(help="token 预算，按日志里的总数计，到了就停；加大后再运行即接着做")
    ] = None
    max_money: Annotated[float | None, Parameter(help="花费预算，要同时给出价格；币种与价格相同")] = None
    price_in: Annotated[float | None, Parameter(help="每百万输入 token 的价格")] = None
    price_out: Annotated[float | None, Parameter(help="每百万输出 token 的价格")] = None
    limit_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"],
        Parameter(help="回答长度的上限在接口里叫什么；有的模型只认后一个"),
    ] = "max_tokens"
    extra: Annotated[
        str | None, Parameter(help="另外要发送的参数，一个 JSON 对象，例如 '{\"enable_thinking\": false}'")
    ] = None
    timeout: Annotated[float, Parameter(help="一次调用最多等多少秒")] = 120.0
    attempts: Annotated[int, Parameter(help="一个请求最多试几次；只在 429、5xx、超时和连接失败时重试")] = 6

    def asking(
        self,
        api_base: str,
        model: str,
        temperature: float | None,
        output_limit: int,
        response_format: ResponseFormat = "none",
    ) -> Asking:
        """As settings. temperature: negative or None is not sent. Raises ConfigError for a value that cannot be."""
        try:
            return Asking(
                endpoint=Endpoint(base_url=api_base, key_env=self.key_env, timeout=self.timeout),
                model=model,
                temperature=None if temperature is not None and temperature < 0 else temperature,
                output_limit=output_limit,
                limit_name=self.limit_name,
                response_format=response_format,
                extra=self._extra(),
                concurrency=self.concurrency,
                requests_per_minute=self.rpm,
                tokens_per_minute=self.tpm,
                max_tokens=self.max_tokens_budget,
                max_money=self.max_money,
                prices=Prices(input=self.price_in, output=self.price_out),
                patience=Patience(attempts=self.attempts),
            )
        except ValidationError as error:
            raise ConfigError(f"接口的设置有误：{in_one_line(error)}。") from None

    def _extra(self) -> dict[str, Any]:
        try:
            value = json.loads(self.extra or "{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ConfigError(f"--extra {self.extra!r} 应是一个 JSON 对象。")
        return value


NO_LIMITS = CallLimits()


@dataclass(frozen=True)
class RemoteChoice:
    """A model behind an API that answers questions, in place of one on this machine."""

    api_base: Annotated[
        str | None,
        Parameter(name="--api-base", help="由 OpenAI 式接口的模型来答：接口的地址，写到 /v1 为止"),
    ] = None
    api_model: Annotated[
        str | None, Parameter(name=["--model", "--api-model"], help="接口上的模型名，按服务端的叫法")
    ] = None
    api_temperature: Annotated[float, Parameter(help="接口的采样温度；负数表示不发送这一项")] = 0.0
    limits: Annotated[CallLimits, Parameter(name="*")] = NO_LIMITS

    def chosen(self, max_new_tokens: int = 256) -> Asking | None:
        """The model; None where no API is named. max_new_tokens: of a reply.

        Raises ConfigError for a value that cannot be.
        """
        if self.api_base is None:
            if self != RemoteChoice():
                raise ConfigError("接口的各项设置要与 --api-base 同用。请加上接口的地址，或去掉它们。")
            return None
        if not self.api_model:
            raise ConfigError("请用 --model 指出接口上的模型名，按服务端的叫法。")
        return self.limits.asking(self.api_base, self.api_model, self.api_temperature, max_new_tokens)


Remote = Annotated[RemoteChoice, Parameter(name="*", group="接口上的模型")]
NO_REMOTE = RemoteChoice()
