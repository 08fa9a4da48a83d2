"""The words with which an answer says which attribute it speaks of, and under which condition: visible data.

`CUES` maps the nouns of answers (…的并发症包括…, …等症状) onto the attributes they may mean: a general word takes in
the special ones (检查: 实验室检查 too), a special word the general one, and none its sibling (手术: no drug).
"""

from __future__ import annotations

import re

SYMPTOMS = frozenset({"临床症状及体征", "相关症状", "伴随症状", "危险信号"})
EXAMINATIONS = frozenset({"检查", "实验室检查", "影像学检查", "组织学检查"})
TREATMENTS = frozenset({"治疗方案", "药物治疗", "手术治疗", "辅助治疗"})
CAUSES = frozenset({"病因", "高危因素", "发病机制"})
FORBIDDEN = frozenset({"禁忌证", "注意事项", "孕妇用药", "儿童用药", "老年用药", "饮食禁忌"})
PEOPLE = frozenset({"多发群体", "高危因素", "多发地区", "多发季节"})
DEPARTMENTS = frozenset({"所属科室", "所属科目", "上级科室"})

CUES: tuple[tuple[str, frozenset[str]], ...] = (
    ("症状 体征 表现 征象 临床症状 临床表现 临床体征", SYMPTOMS),
    ("并发症 合并症 后遗症", frozenset({"并发症", "相关疾病"})),
    ("病因 原因 诱因 诱发因素 致病因素", CAUSES),
    ("高危因素 危险因素 风险因素", CAUSES | PEOPLE),
    ("发病机制 机制", CAUSES | {"病理生理", "药理作用"}),
    ("病理生理", frozenset({"病理生理", "发病机制"})),
    ("分型 病理分型 类型 亚型", frozenset({"病理分型", "分类", "OTC类型", "剂型"})),
    ("剂型 规格", frozenset({"剂型"})),
    ("人群 多发群体 多发人群 高发群体 高发人群 易感群体 易感人群 好发群体 好发人群 发病群体 发病人群", PEOPLE),
    ("部位 发病部位 好发部位 检查部位 转移部位", frozenset({"发病部位", "检查部位", "转移部位"})),
    ("科室 科目 就诊科室 所属科室", DEPARTMENTS),
    ("检查 检查项目 检查方法 检查手段 辅助检查", EXAMINATIONS),
    ("实验室检查 化验 化验检查 检验", frozenset({"实验室检查", "检查"})),
    ("影像检查 影像学检查", frozenset({"影像学检查", "检查"})),
    ("组织学检查 病理检查 病理学检查 组织病理检查 组织病理学检查", frozenset({"组织学检查", "检查"})),
    ("治疗 治疗方案 治疗方法 治疗方式 治疗措施 治疗手段 治疗策略 疗法", TREATMENTS),
    ("手术 手术治疗 手术方式 手术方法 术式", frozenset({"手术治疗", "治疗方案"})),
    ("药物 药品 用药 常用药 常用药物 常用药品 治疗药物 药物治疗", frozenset({"药物治疗", "治疗方案"})),
    ("辅助治疗", frozenset({"辅助治疗", "治疗方案"})),
    ("治疗周期 疗程 治疗时间", frozenset({"治疗周期", "用法用量"})),
    ("治愈率 治愈概率", frozenset({"治愈率", "预后状况"})),
    ("生存率 存活率 预后生存率", frozenset({"预后生存率", "预后状况"})),
    ("生存时间 生存期 预后生存时间", frozenset({"预后生存时间"})),
    ("死亡率 病死率", frozenset({"死亡率"})),
    ("预后 预后情况 预后状况", frozenset({"预后状况", "预后生存率", "预后生存时间", "治愈率", "死亡率"})),
    ("发病率 患病率 发生率", frozenset({"发病率"})),
    ("费用 花费 治疗费用", frozenset({"治疗费用"})),
    ("传播途径 传播方式 传染途径 传染方式 感染途径 感染方式", frozenset({"传播途径", "病因"})),
    ("鉴别 鉴别诊断", frozenset({"鉴别诊断"})),
    ("相关疾病", frozenset({"相关疾病", "并发症", "鉴别诊断"})),
    ("预防 预防措施 预防方法", frozenset({"预防措施"})),
    ("饮食 饮食建议 饮食禁忌 饮食注意", frozenset({"饮食建议", "饮食禁忌"})),
    ("适应症 适应证 主治", frozenset({"适应症"})),
    ("禁忌 禁忌症 禁忌证", FORBIDDEN),
    ("注意事项", FORBIDDEN | {"药物相互作用"}),
    ("不良反应 副作用", frozenset({"不良反应"})),
    ("用法用量 用法 用量 剂量", frozenset({"用法用量", "儿童用药", "老年用药"})),
    ("成份 成分", frozenset({"成份"})),
    ("相互作用 药物相互作用", frozenset({"药物相互作用"})),
    ("正常值 参考值 参考范围 正常范围", frozenset({"正常值"})),
    ("麻醉 麻醉方式", frozenset({"麻醉方式"})),
    ("术前准备", frozenset({"术前准备", "注意事项"})),
    ("术后护理", frozenset({"术后护理"})),
)
"""Nouns → the attributes they may mean; the longest noun at a place counts. They speak of the list after them when an
`INTRO` follows, and of the list before them after 等 or 是…的."""

INTRO = (
    "包括|有(?!助|利|效|关|时|所|可能|一定|必要|很|无|待|限|没)|为(?!了|主|止|避|防|准)|是(?!否|由|因|指|一|通过|非|不|根据)|"
    ":|含有?|分为|涉及|如下|例如|比如|诸如|如(?!果)"
)
"""What opens a list after a noun."""

VERBS: tuple[tuple[str, frozenset[str]], ...] = (
    ("表现为|表现有", SYMPTOMS),
    ("并发(?!症)", frozenset({"并发症", "相关疾病"})),
    ("(?:好发|多发|多见|常见|高发)于", PEOPLE | {"发病部位", "相关疾病"}),
    ("禁用于|禁忌用于", FORBIDDEN),
    ("(?<!禁)(?:适用|用)于(?:治疗|缓解|预防)?", frozenset({"适应症"})),
    ("(?:到|去|前往)(?=[^,;。]{1,8}科)|(?<![牵悬记])挂(?![水着吊针瓶了])号?|就诊于", DEPARTMENTS),
)
"""Verbs that say by themselves what the list after them is."""

BREAK = (
    "建议|需|应|可(?!见|有|伴|出现)|如|若|但|同时|此外|另外|因此|所以|并(?!发)|严重|治疗|确诊|诊断|通过|一般|通常|预后|其中|而|还|"
    "患者|要|请|避免|必要|采用|采取|使用|给予|进行|导致|引起|注意|具体|首选|常用|也|因为|由于|随着|从而|以|对于|针对|根据|[该本此]病|病情|就|则|会|能|不|无|没"
)
"""A part of a sentence that starts with one of these speaks no longer of the attribute named before it."""

CONDITIONS: dict[str, dict[str, str]] = {
    "人群": {
        "儿童": "儿童|小儿|婴幼儿|婴儿|幼儿|患儿|新生儿|早产儿",
        "成人": "成人|成年人",
        "老年": "老年|高龄",
        "孕期": "孕妇|妊娠|孕期|怀孕",
        "哺乳": "哺乳",
    },
    "程度": {"轻": "轻[度症型]", "中": "(?<!轻)中度", "重": "(?<!中)重[度症型]|病情严重|严重者"},
    "病期": {"急性": "急性期|急性发作", "慢性": "慢性期", "缓解": "缓解期", "早期": "早期", "晚期": "晚期|终末期"},
    "途径": {
        "口服": "口服|[内吞]服",
        "静脉": "静脉|静滴|静注|静推",
        "肌内": "肌[内肉]注射|肌注",
        "皮下": "皮下",
        "外用": "外用|外涂|涂抹|涂擦|局部",
        "吸入": "吸入|雾化",
        "滴眼": "滴眼",
        "直肠": "直肠|灌肠|肛门",
        "阴道": "阴道",
    },
}
"""Conditions that exclude each other: what is said of one group of an axis is not said of another."""

COUNTED = tuple("片粒支袋丸滴包瓶枚贴喷揿")
"""The units in which doses are counted."""

QUANTITY_HOME: dict[str, frozenset[str]] = {
    "money": frozenset({"治疗费用"}),
    "mass": frozenset({"用法用量", "儿童用药", "老年用药", "剂型", "正常值"}),
    "times": frozenset({"用法用量", "正常值"}),
    "activity": frozenset({"用法用量", "正常值"}),
    **{each: frozenset({"用法用量"}) for each in COUNTED},
}
"""Dimensions (of what stands above the stroke) that speak of these attributes even where no word names one."""

QUANTITY_WORDS: tuple[tuple[str, re.Pattern[str], frozenset[str]], ...] = (
    ("time", re.compile("生存|存活|寿命"), frozenset({"预后生存时间"})),
    ("time", re.compile("治疗|疗程|周期|恢复|痊愈|康复|治愈|病程|用药|服用|连用"), frozenset({"治疗周期", "用法用量"})),
    ("share", re.compile("治愈|有效|好转"), frozenset({"治愈率"})),
    ("share", re.compile("生存|存活"), frozenset({"预后生存率"})),
    ("share", re.compile("死亡|病死"), frozenset({"死亡率"})),
    ("share", re.compile("发病|患病|发生"), frozenset({"发病率"})),
    ("age", re.compile("多发|高发|好发|常见|多见|发病|高峰|人群|群体"), frozenset({"多发群体", "高危因素"})),
    ("age", re.compile("以下|以上|未满|不满"), frozenset({"儿童用药", "禁忌证", "注意事项"})),
)
"""Dimension, the words beside a quantity, and the attributes that it is then about; the first that fits counts."""

OTHER_TIMES = re.compile("术后|术前|手术|住院|入院|出院|复查|随访|观察|持续|发作|潜伏|病前|生后|控制后|内出现")
"""Words beside a time that say it is none of the attributes that facts have."""

EACH_ITS_OWN = re.compile("分别|各|依次|相比|不同|区别|差别|不一样")
"""Words with which a sentence gives to each of several what is its own; without them it says all of all."""

MEASURED = frozenset(
    {
        "用法用量",
        "治疗周期",
        "治愈率",
        "治疗费用",
        "发病率",
        "死亡率",
        "预后生存率",
        "预后生存时间",
        "正常值",
        "多发群体",
        "儿童用药",
        "老年用药",
        "剂型",
    }
)
"""The attributes of which another figure is a contradiction. In others (注意事项) figures stand for many things."""
