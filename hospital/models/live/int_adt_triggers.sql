-- One row per HL7 v2 trigger that hospitals send about patients: what it does to a bed. A trigger that is not listed does nothing.
--
-- `role`: register and admit begin a presence, move changes the place, leave holds the bed, return ends the leave, depart ends the
-- presence, plan announces a discharge, cancel takes the latest event of its kind back, delete takes back the whole visit,
-- merge and reassign say that two numbers are one, swap exchanges two beds, none leaves beds alone.
-- `kind`: what a cancel takes back is the latest event of the same kind. `place_order`: which comes first at the same instant.

select
    event_type,
    event_name,
    role,
    kind,
    cast(place_order as integer) as place_order
from (
    values
        ('A01', 'admit', 'admit', 'admission', 1),
        ('A02', 'transfer', 'move', 'transfer', 2),
        ('A03', 'discharge', 'depart', 'discharge', 5),
        ('A04', 'register', 'register', 'admission', 0),
        ('A05', 'pre-admit', 'none', 'preadmission', 9),
        ('A06', 'outpatient to inpatient', 'admit', 'class', 1),
        ('A07', 'inpatient to outpatient', 'admit', 'class', 1),
        ('A08', 'update', 'none', 'update', 9),
        -- Departing and arriving track where a patient is; the bed stays the one assigned.
        ('A09', 'departing', 'none', 'departing', 9),
        ('A10', 'arriving', 'none', 'arriving', 9),
        ('A11', 'cancel admit', 'cancel', 'admission', 9),
        ('A12', 'cancel transfer', 'cancel', 'transfer', 9),
        ('A13', 'cancel discharge', 'cancel', 'discharge', 9),
        ('A14', 'pending admit', 'none', 'pending admission', 9),
        ('A15', 'pending transfer', 'none', 'pending transfer', 9),
        ('A16', 'pending discharge', 'plan', 'pending discharge', 9),
        ('A17', 'swap', 'swap', 'swap', 2),
        ('A21', 'leave of absence', 'leave', 'leave', 3),
        ('A22', 'return from leave', 'return', 'return', 4),
        ('A23', 'delete visit', 'delete', 'delete', 9),
        ('A24', 'link', 'none', 'link', 9),
        ('A25', 'cancel pending discharge', 'cancel', 'pending discharge', 9),
        ('A26', 'cancel pending transfer', 'none', 'pending transfer', 9),
        ('A27', 'cancel pending admit', 'none', 'pending admission', 9),
        ('A28', 'add person', 'none', 'person', 9),
        ('A29', 'delete person', 'none', 'person', 9),
        ('A31', 'update person', 'none', 'person', 9),
        ('A32', 'cancel arriving', 'none', 'arriving', 9),
        ('A33', 'cancel departing', 'none', 'departing', 9),
        ('A34', 'merge patient', 'merge', 'merge', 9),
        ('A35', 'merge account', 'merge', 'merge', 9),
        ('A36', 'merge patient and account', 'merge', 'merge', 9),
        ('A37', 'unlink', 'none', 'link', 9),
        ('A38', 'cancel pre-admit', 'none', 'preadmission', 9),
        ('A39', 'merge person', 'merge', 'merge', 9),
        ('A40', 'merge patient', 'merge', 'merge', 9),
        ('A41', 'merge account', 'merge', 'merge', 9),
        ('A42', 'merge visit', 'merge', 'merge', 9),
        ('A44', 'move account', 'reassign', 'reassign', 9),
        ('A45', 'move visit', 'reassign', 'reassign', 9),
        ('A47', 'change patient id', 'merge', 'merge', 9),
        ('A50', 'change visit number', 'merge', 'merge', 9),
        ('A52', 'cancel leave', 'cancel', 'leave', 9),
        ('A53', 'cancel return', 'cancel', 'return', 9)
) as triggers (event_type, event_name, role, kind, place_order)
