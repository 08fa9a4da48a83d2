"""The standing medical notice. It goes with every answer that a person reads."""

NOTICE = (
    "本回答由模型生成，可能有误，不构成诊断或治疗建议，不能代替医生。"
    "如有不适请及时就医；遇胸痛、呼吸困难、意识不清、大出血等急症请立即拨打 120。"
)
