"""What chests look like, without a real film: a mean of synthetic frontal films and a drawing of a lateral one."""

from __future__ import annotations

import base64
from typing import Final

import cv2
import numpy as np

from patchcxr.types import FloatArray

GRID_SIDE: Final = 32
"""Rows and columns of the templates."""

_STEP: Final = 80.0
"""Levels of the stored template a unit of :func:`patchcxr.measure.chest_view.chest_grid`; level 128 is zero."""

_FRONTAL: Final = """
CMPE+Cnzc{Gd@*tgpQMsjFFIsbz4F-E-EM|CMG2%EH5xIGdDa!OId1siISF+kd>5-f^c3=Lp(S$F)b@9H9SK}Oj224YIJ*niIt(A
ouQkKgL`slU|CX3OF}v|Lrqv<W^j6fg@k~5dWxi}sH>EJdVGI@et2(aWLZo^Q(<m-e~6NolZ$<DYkH!ywy%Y4ZFz@|k&cIeeQ#e>
V{w9vm7SoMg?n~#aDS`8#Jr4iad&xukC~d3j)HGwZ+(xPrmLikaARd^Z-cSQ&&is2Y-C_*f|{eDn~#5Sc!-;-va_9iVpvvKU2>($
)X$=FT~$<DagV00rkaU+e2}BExv`LIRZve*Q)HOO)X%ALS58h)Ux1>quA-5EeUzxRx~6+oMM6bMPF|G6(axo8PenmMOl*~{u&0%Q
eUz!Sw3cQ>I5#>#NLiD^&&Zr)Njo<+K3IdMucwuOd6K8Htb|fFEiEuMLs*o>(Z-x+L^CZaFGg{ks-%&8b&aF0pmakjB_}E|LSLQC
)yt`MMlL2IBsgJ?q@j#<ZH1htm1a03AR;C&Ms2Rr+0wX%N-QEBA1_pdotlMjWqg#Midr!tA0j3&NqoB1+SI|ARWKtR9VknCl#qRB
Uw4q2gH$abAR{L<PK3SI+t$RRXFDe!93(_>jEZ?=TXc<<eNQYOAtft0REoXT+ttRceNZwZ9wk9+h=_JzS8|Jzc1tWGBq}gHU6Q@j
+SSLlm1{>XA}2s;hlq4tQg4Wkaz`sBD={}kX`8*$+0)3qsfS=cEGj`~hK6!kPi%#XZb&dKG(1F6bfCP^*3rnqwV!xVHZMS9gM@HZ
N@#+HYDqgkNKsm3fuy_6)X&Gmx~hs}L^eQPeSmCHMPq$~Yg0{DV{dkRj;FfK(aXfZyReyeS3*QwczbD0KV5i#Z(wC~f{c=tpRc{m
(aOTVyR)K*Y*bHPcX(t<JXv*qcXok~oTjX<vAM&}(8<BRy0od5fo)-DcXeS#I976jgo%};uC=<nzQM=N&&a~Qy0xvMm4<nBdURew
H&k(hj+djYw7I^)!^O$Y&dI{RySK8dqnL_<fOK3xHdJwilAflnw7I>&!o<kU%*eyQytuTlsiBvQgLGRyHdJwil%A!nv$wpz!NbSP
%g4gMy}7insiT{bgmhXxI976nlbxiiv9`Lszrn=G$i%?CytuQjsiT~dhILy%J6LpvlbxfgueG_nzQ4oA$HTt6xV5sZsG^&ag>_v*
KVW%^m7JrguC%zjy}rW6#=^X~wX(3Qr=gmWg>_y;L|=G_lbfQbuCutiy}rT4#lgI{w6d?Orl6UTg?3;^
"""


def frontal_template() -> FloatArray:
    """Mean grid of frontal chests, float32, shape (32, 32).

    The first films of the first 120 synthetic patients at 128 pixels, of all sources, each cut out of its
    frame and brought to a grid. ``tests/measure/test_appearance.py`` draws them again and compares.
    """
    levels = np.frombuffer(base64.b85decode("".join(_FRONTAL.split())), np.uint8)
    return (levels.reshape(GRID_SIDE, GRID_SIDE).astype(np.float32) - 128) / np.float32(_STEP)


def draw_lateral_chest(side: int = 128) -> FloatArray:
    """Lateral chest that faces right, drawn from anatomy, float32, shape (side, side).

    Black air in front of and behind the trunk; shoulders over the apices; one dark lung field between spine and
    breastbone, with hilum and heart in it; bright abdomen below the dome.
    """
    film = np.zeros((side, side), np.float32)
    trunk = np.zeros((side, side), np.uint8)

    def place(*points: tuple[float, float]) -> FloatArray:
        return np.array(points) * side

    def fill(level: float, *points: tuple[float, float], into: FloatArray = film) -> None:
        cv2.fillPoly(into, [place(*points).astype(np.int32)], level)

    def ellipse(level: float, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0) -> None:
        middle, half = place(centre)[0].astype(int).tolist(), place(axes)[0].astype(int).tolist()
        cv2.ellipse(film, middle, half, angle, 0, 360, level, -1)

    outline = (
        (0.22, -0.1), (0.12, 0.25), (0.08, 0.55), (0.10, 1.1), (0.92, 1.1), (0.90, 0.65), (0.84, 0.35), (0.70, 0.12),
        (0.66, -0.1),
    )  # fmt: skip
    lung = (
        (0.40, 0.16), (0.26, 0.30), (0.20, 0.55), (0.20, 0.78), (0.36, 0.72), (0.60, 0.66), (0.80, 0.72), (0.80, 0.50),
        (0.74, 0.33), (0.60, 0.20),
    )  # fmt: skip
    fill(0.7, *outline)
    ellipse(0.95, (0.45, 0.0), (0.24, 0.22))  # shoulders
    fill(0.25, *lung)
    ellipse(0.6, (0.62, 0.58), (0.13, 0.11), 30)  # heart
    ellipse(0.5, (0.47, 0.42), (0.05, 0.06))  # hilum
    back, loin = place((0.26, 0.25), (0.19, 0.80)).astype(int).tolist()
    cv2.line(film, back, loin, 0.55, side // 16)  # spine
    ellipse(0.95, (0.45, 0.98), (0.42, 0.28))  # abdomen
    cv2.fillPoly(trunk, [place(*outline).astype(np.int32)], 1)
    return np.asarray(cv2.GaussianBlur(film * trunk, (0, 0), side / 40), np.float32)
