-- Package: lua-hamlib
-- Modules: Hamliblua
-- Luas: 5.2 5.3
-- Cold: it leaves descriptors open
--
-- The receiver that is none, by its number.
require "Hamliblua"
local H = _G.Hamliblua or package.loaded.Hamliblua
H.rig_set_debug(H.RIG_DEBUG_NONE)
local rig = H.Rig(H.RIG_MODEL_DUMMY)
rig:open()
rig:set_freq(H.RIG_VFO_A, 145550000)
print(rig:get_freq(H.RIG_VFO_A), rig.error_status)
rig:close()
