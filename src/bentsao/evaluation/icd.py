"""The chapters of ICD-10 (World Health Organization), by which CMCOQA counts its questions."""

from __future__ import annotations

import re

CHAPTERS = (
    ("A00", "B99", "某些传染病和寄生虫病"),
    ("C00", "D48", "肿瘤"),
    ("D50", "D89", "血液及造血器官疾病和某些涉及免疫机制的疾患"),
    ("E00", "E90", "内分泌、营养和代谢疾病"),
    ("F00", "F99", "精神和行为障碍"),
    ("G00", "G99", "神经系统疾病"),
    ("H00", "H59", "眼和附器疾病"),
    ("H60", "H95", "耳和乳突疾病"),
    ("I00", "I99", "循环系统疾病"),
    ("J00", "J99", "呼吸系统疾病"),
    ("K00", "K93", "消化系统疾病"),
    ("L00", "L99", "皮肤和皮下组织疾病"),
    ("M00", "M99", "肌肉骨骼系统和结缔组织疾病"),
    ("N00", "N99", "泌尿生殖系统疾病"),
    ("O00", "O99", "妊娠、分娩和产褥期"),
    ("P00", "P96", "起源于围生期的某些情况"),
    ("Q00", "Q99", "先天性畸形、变形和染色体异常"),
    ("R00", "R99", "症状、体征和临床与实验室异常所见，不可归类在他处者"),
    ("S00", "T98", "损伤、中毒和外因的某些其他后果"),
    ("U00", "U99", "用于特殊目的的编码"),
    ("V01", "Y98", "疾病和死亡的外因"),
    ("Z00", "Z99", "影响健康状态和与保健机构接触的因素"),
)
"""First and last category of each chapter, and its title."""


ENGLISH = {
    "Certain infectious and parasitic diseases": "A00",
    "Neoplasms": "C00",
    "Diseases of the blood and blood-forming organs and certain disorders involving the immune mechanism": "D50",
    "Endocrine, nutritional and metabolic diseases": "E00",
    "Mental and behavioural disorders": "F00",
    "Diseases of the nervous system": "G00",
    "Diseases of the eye and adnexa": "H00",
    "Diseases of the ear and mastoid process": "H60",
    "Diseases of the circulatory system": "I00",
    "Diseases of the respiratory system": "J00",
    "Diseases of the digestive system": "K00",
    "Diseases of the skin and subcutaneous tissue": "L00",
    "Diseases of the musculoskeletal system and connective tissue": "M00",
    "Diseases of the genitourinary system": "N00",
    "Pregnancy, childbirth and the puerperium": "O00",
    "Certain conditions originating in the perinatal period": "P00",
    "Congenital malformations, deformations and chromosomal abnormalities": "Q00",
    "Injury, poisoning and certain other consequences of external causes": "S00",
}
"""A category of the chapter, by the chapter's English title; those that CMCOQA names."""


def in_chinese(title: str) -> str:
    """A chapter's title in Chinese, from the English one; any other text as it is."""
    code = ENGLISH.get(title.strip())
    return (chapter(code) if code else None) or title.strip()


def chapter(code: str) -> str | None:
    """The chapter of a code such as I21 or J45.9; None for what is no code, or a category that no chapter has."""
    found = re.fullmatch(r"\s*([A-Za-z]\d\d)(\.[\dxX]+)?\s*", code)
    if not found:
        return None
    category = found[1].upper()
    return next((title for first, last, title in CHAPTERS if first <= category <= last), None)
