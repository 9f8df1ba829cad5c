"""The parameters of an autopilot on MAVLink: real names, types and defaults, as far as they matter.

Sources of the tables: `@Param` blocks of ArduPilot's libraries (AP_NavEKF3.cpp, AP_GPS.cpp,
AP_GPS_Params.cpp, AP_VisualOdom.cpp, ArduCopter/Parameters.cpp) and PX4's src/modules/ekf2/*.yaml.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...errors import ConfigError

I8, I16 = wire.MAV_PARAM_TYPE_INT8, wire.MAV_PARAM_TYPE_INT16
I32, F32 = wire.MAV_PARAM_TYPE_INT32, wire.MAV_PARAM_TYPE_REAL32

Table = Mapping[str, tuple[int, float]]
"""Name to MAV_PARAM_TYPE and default."""

_SOURCE_SETS: dict[str, tuple[int, float]] = {
    f"EK3_SRC{number}_{what}": (I8, float(default))
    for number, defaults in ((1, (3, 3, 1, 3, 1)), (2, (0, 0, 1, 0, 0)), (3, (0, 0, 1, 0, 0)))
    for what, default in zip(("POSXY", "VELXY", "POSZ", "VELZ", "YAW"), defaults, strict=True)
}

ARDUCOPTER: Table = {
    "SYSID_THISMAV": (I16, 1),
    "ARMING_CHECK": (I32, 1),
    "FS_EKF_ACTION": (I8, 1),
    "FS_EKF_THRESH": (F32, 0.8),
    "GPS1_TYPE": (I8, 1),
    "GPS2_TYPE": (I8, 0),
    "GPS1_DELAY_MS": (I16, 0),
    "GPS2_DELAY_MS": (I16, 0),
    "GPS_AUTO_SWITCH": (I8, 1),
    "GPS_PRIMARY": (I8, 0),
    "GPS_HDOP_GOOD": (I16, 140),
    "VISO_TYPE": (I8, 0),
    "VISO_DELAY_MS": (I16, 10),
    "VISO_POS_M_NSE": (F32, 0.2),
    "VISO_QUAL_MIN": (I8, 0),
    **_SOURCE_SETS,
    "EK3_GPS_CHECK": (I8, 31),
    "EK3_CHECK_SCALE": (I16, 100),
    "EK3_POSNE_M_NSE": (F32, 0.5),
    "EK3_VELNE_M_NSE": (F32, 0.3),
    "EK3_VELD_M_NSE": (F32, 0.5),
    "EK3_ALT_M_NSE": (F32, 2.0),
    "EK3_ACC_P_NSE": (F32, 0.35),
    "EK3_ABIAS_P_NSE": (F32, 0.02),
    "EK3_POS_I_GATE": (I16, 500),
    "EK3_VEL_I_GATE": (I16, 500),
    "EK3_GLITCH_RAD": (I8, 25),
    "SR0_EXT_STAT": (I16, 0),
    "SR0_POSITION": (I16, 0),
    "SR0_EXTRA1": (I16, 0),
    "SR0_EXTRA3": (I16, 0),
}

_AGP_SLOTS: dict[str, tuple[int, float]] = {
    f"EKF2_AGP{slot}_{what}": (kind, default)
    for slot in range(4)
    for what, kind, default in (
        ("ID", I32, 0.0),
        ("CTRL", I32, 0.0),
        ("MODE", I32, 0.0),
        ("DELAY", F32, 0.0),
        ("NOISE", F32, 1.0),
        ("GATE", F32, 3.0),
    )
}

PX4: Table = {
    "MAV_SYS_ID": (I32, 1),
    **_AGP_SLOTS,
    "EKF2_ACC_NOISE": (F32, 0.35),
    "EKF2_ACC_B_NOISE": (F32, 0.003),
    "EKF2_BARO_NOISE": (F32, 3.5),
    "EKF2_NOAID_TOUT": (I32, 5_000_000),
    "EKF2_GPS_CTRL": (I32, 7),
    "EKF2_GPS_P_NOISE": (F32, 0.5),
    "EKF2_GPS_V_NOISE": (F32, 0.3),
    "EKF2_GPS_P_GATE": (F32, 5.0),
    "EKF2_GPS_V_GATE": (F32, 5.0),
    "EKF2_REQ_EPH": (F32, 3.0),
    "EKF2_REQ_EPV": (F32, 5.0),
    "EKF2_REQ_SACC": (F32, 0.5),
    "EKF2_REQ_NSATS": (I32, 6),
    "EKF2_REQ_GPS_H": (F32, 10.0),
    "EKF2_EV_CTRL": (I32, 0),
    "EKF2_EV_DELAY": (F32, 0.0),
    "EKF2_EV_NOISE_MD": (I32, 0),
    "EKF2_EV_QMIN": (I32, 0),
    "EKF2_EVP_NOISE": (F32, 0.1),
    "EKF2_EVP_GATE": (F32, 5.0),
}


@dataclass(frozen=True)
class Encoding:
    """How integers travel in the float of PARAM_VALUE and PARAM_SET.

    ArduPilot casts them to float; PX4 lays their four bytes there (PARAM_ENCODE_BYTEWISE).
    """

    is_bytewise: bool

    def to_wire(self, value: float, kind: int) -> float:
        """The float to send."""
        if self.is_bytewise and kind != F32:
            return float(struct.unpack("<f", struct.pack("<i", round(value)))[0])
        return float(value)

    def from_wire(self, sent: float, kind: int) -> float:
        """The value meant by a float that came."""
        if self.is_bytewise and kind != F32:
            return float(struct.unpack("<i", struct.pack("<f", sent))[0])
        return float(sent)


class Parameters:
    """Values by name, in the order of their table; integers are whole.

    Raises:
        ConfigError: a value is given to a parameter that this autopilot does not have here.
    """

    def __init__(
        self, table: Table, encoding: Encoding, values: Mapping[str, float] | None = None
    ) -> None:
        self.encoding = encoding
        self._kinds = {name: kind for name, (kind, _) in table.items()}
        self._values = {name: float(default) for name, (_, default) in table.items()}
        for name, value in (values or {}).items():
            if name not in self._values:
                raise ConfigError(f"parameter {name}: this autopilot has none of that name")
            self.set(name, value)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def integer(self, name: str) -> int:
        """The value of a whole number, an enumeration or a mask."""
        return round(self._values[name])

    def set(self, name: str, value: float) -> None:
        """Take effect at once; the real ones need a reboot for some."""
        self._values[name] = float(value if self._kinds[name] == F32 else round(value))

    def take(self, message: wire.MAVLink_message) -> list[wire.MAVLink_message]:
        """Answers to PARAM_REQUEST_LIST, PARAM_REQUEST_READ and PARAM_SET; none to anything else.

        As on both autopilots an unknown name is met with silence.
        """
        kind = message.get_type()
        if kind == "PARAM_REQUEST_LIST":
            return [self._value(name) for name in self]
        if kind not in ("PARAM_REQUEST_READ", "PARAM_SET"):
            return []
        name = message.param_id
        if kind == "PARAM_REQUEST_READ" and 0 <= message.param_index < len(self):
            name = list(self)[message.param_index]
        if name not in self:
            return []
        if kind == "PARAM_SET":
            value = self.encoding.from_wire(message.param_value, self._kinds[name])
            if abs(value) < float("inf"):
                self.set(name, value)
        return [self._value(name)]

    def _value(self, name: str) -> wire.MAVLink_message:
        kind = self._kinds[name]
        return wire.MAVLink_param_value_message(
            param_id=name.encode(),
            param_value=self.encoding.to_wire(self[name], kind),
            param_type=kind,
            param_count=len(self),
            param_index=list(self).index(name),
        )
