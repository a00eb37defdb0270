//! What the network draws from: names, places, diagnoses, medications, payers.

use crate::site::Kind;

pub(crate) const FEMALE_NAMES: &[&str] = &[
    "Mary",
    "Patricia",
    "Jennifer",
    "Linda",
    "Elizabeth",
    "Barbara",
    "Susan",
    "Jessica",
    "Sarah",
    "Karen",
    "Lisa",
    "Nancy",
    "Sandra",
    "Ashley",
    "Emily",
    "Donna",
    "Michelle",
    "Carol",
    "Amanda",
    "Melissa",
    "Zoë",
    "Renée",
    "María",
    "Sofía",
    "Chloé",
    "Aisha",
    "Mei",
    "Priya",
    "Olga",
    "Fatima",
];
pub(crate) const MALE_NAMES: &[&str] = &[
    "James",
    "Robert",
    "John",
    "Michael",
    "David",
    "William",
    "Richard",
    "Joseph",
    "Thomas",
    "Christopher",
    "Charles",
    "Daniel",
    "Matthew",
    "Anthony",
    "Mark",
    "Steven",
    "Andrew",
    "Kenneth",
    "Joshua",
    "Kevin",
    "José",
    "Andrés",
    "François",
    "Jürgen",
    "Björn",
    "Ahmed",
    "Wei",
    "Arjun",
    "Dmitri",
    "Kwame",
];
pub(crate) const LAST_NAMES: &[&str] = &[
    "Smith",
    "Johnson",
    "Williams",
    "Brown",
    "Jones",
    "Garcia",
    "Miller",
    "Davis",
    "Rodriguez",
    "Martinez",
    "Hernandez",
    "Lopez",
    "Gonzalez",
    "Wilson",
    "Anderson",
    "Thomas",
    "Taylor",
    "Moore",
    "Jackson",
    "Martin",
    "Lee",
    "Perez",
    "Thompson",
    "White",
    "Harris",
    "Sanchez",
    "Clark",
    "Ramirez",
    "Lewis",
    "Robinson",
    "Walker",
    "Young",
    "Allen",
    "King",
    "Wright",
    "Scott",
    "Torres",
    "Nguyen",
    "Hill",
    "Flores",
    "Müller",
    "Núñez",
    "Peña",
    "O'Brien",
    "Gómez",
    "Lefèvre",
    "Åberg",
    "Sørensen",
    "Kowalski",
    "Ivanov",
    "Chen",
    "Patel",
    "Okafor",
    "Kim",
    "Haddad",
    "Rossi",
];
pub(crate) const STREETS: &[&str] = &[
    "Main St",
    "Oak Ave",
    "Maple St",
    "Cedar Ln",
    "Park Ave",
    "Washington St",
    "Lake Rd",
    "Hill St",
    "River Rd",
    "Church St",
    "Elm St",
    "Highland Ave",
    "Prospect St",
    "Canal St",
    "Union St",
    "Mill Rd",
];
/// City and the first three digits of its postal codes.
pub(crate) const CITIES: &[(&str, &str)] = &[
    ("Albany", "122"),
    ("Buffalo", "142"),
    ("Rochester", "146"),
    ("Syracuse", "132"),
    ("Yonkers", "107"),
    ("Utica", "135"),
    ("Ithaca", "148"),
    ("Troy", "121"),
    ("Binghamton", "139"),
    ("White Plains", "106"),
];
pub(crate) const HOSPITAL_NAMES: &[&str] = &[
    "General Hospital",
    "Memorial Hospital",
    "Mercy Medical Center",
    "University Hospital",
    "Community Hospital",
    "Saint Luke Hospital",
    "Lakeside Medical Center",
];

/// A reason to come to hospital.
pub(crate) struct Diagnosis {
    pub code: &'static str,
    pub text: &'static str,
    pub kind: Kind,
    /// Positions in [`MEDICATIONS`] that treat it.
    pub medications: &'static [usize],
}

const fn diagnosis(code: &'static str, text: &'static str, kind: Kind, medications: &'static [usize]) -> Diagnosis {
    Diagnosis { code, text, kind, medications }
}

/// ICD-10-CM codes with their common short texts.
pub(crate) const DIAGNOSES: &[Diagnosis] = &[
    diagnosis("I50.9", "Heart failure, unspecified", Kind::Medical, &[4, 5, 6]),
    diagnosis("J18.9", "Pneumonia, unspecified organism", Kind::Medical, &[2, 3, 0]),
    diagnosis("J44.1", "COPD with acute exacerbation", Kind::Medical, &[9, 10]),
    diagnosis("N39.0", "Urinary tract infection, site not specified", Kind::Medical, &[3, 0]),
    diagnosis("E11.65", "Type 2 diabetes mellitus with hyperglycemia", Kind::Medical, &[7, 8]),
    diagnosis("I21.4", "Non-ST elevation myocardial infarction", Kind::Medical, &[11, 5, 12]),
    diagnosis("I63.9", "Cerebral infarction, unspecified", Kind::Medical, &[11, 12]),
    diagnosis("K35.80", "Unspecified acute appendicitis", Kind::Surgical, &[3, 1, 0]),
    diagnosis("K80.20", "Calculus of gallbladder without cholecystitis", Kind::Surgical, &[1, 13]),
    diagnosis("S72.001A", "Fracture of neck of right femur, initial encounter", Kind::Surgical, &[1, 14]),
    diagnosis("M17.11", "Unilateral primary osteoarthritis, right knee", Kind::Surgical, &[1, 14, 0]),
    diagnosis("A41.9", "Sepsis, unspecified organism", Kind::Icu, &[3, 15, 16]),
    diagnosis("J96.01", "Acute respiratory failure with hypoxia", Kind::Icu, &[16, 9]),
    diagnosis("O80", "Encounter for full-term uncomplicated delivery", Kind::Maternity, &[0, 17]),
    diagnosis("O34.211", "Maternal care for low transverse scar from previous cesarean", Kind::Maternity, &[1, 17]),
    diagnosis("J21.9", "Acute bronchiolitis, unspecified", Kind::Pediatric, &[9, 0]),
    diagnosis("J45.901", "Unspecified asthma with acute exacerbation", Kind::Pediatric, &[9, 10]),
    diagnosis("R07.9", "Chest pain, unspecified", Kind::Emergency, &[11]),
    diagnosis("S93.401A", "Sprain of right ankle, initial encounter", Kind::Emergency, &[18]),
    diagnosis("R10.9", "Unspecified abdominal pain", Kind::Emergency, &[13, 0]),
    diagnosis("J06.9", "Acute upper respiratory infection", Kind::Emergency, &[0, 18]),
    diagnosis("I10", "Essential (primary) hypertension", Kind::Outpatient, &[5, 19]),
    diagnosis("E78.5", "Hyperlipidemia, unspecified", Kind::Outpatient, &[12]),
    diagnosis("Z00.00", "General adult medical examination", Kind::Outpatient, &[]),
    diagnosis("M54.50", "Low back pain, unspecified", Kind::Outpatient, &[18]),
    diagnosis("J10.1", "Influenza with other respiratory manifestations", Kind::Medical, &[0, 2]),
];

/// Position of influenza in [`DIAGNOSES`]; it is drawn by season, wherever it is treated.
pub(crate) const INFLUENZA: usize = DIAGNOSES.len() - 1;

/// The diagnosis of a birth, for the child.
pub(crate) const LIVEBORN: Diagnosis =
    diagnosis("Z38.00", "Single liveborn infant, delivered vaginally", Kind::Maternity, &[]);

/// A stocked medication. DDDs follow the WHO ATC/DDD index for the route.
pub(crate) struct Medication {
    pub name: &'static str,
    pub atc_code: &'static str,
    pub route: &'static str,
    pub strength: &'static str,
    pub strength_unit: &'static str,
    pub ddd: &'static str,
    pub ddd_unit: &'static str,
    pub unit_cost: &'static str,
}

const fn medication(fields: [&'static str; 8]) -> Medication {
    let [name, atc_code, route, strength, strength_unit, ddd, ddd_unit, unit_cost] = fields;
    Medication { name, atc_code, route, strength, strength_unit, ddd, ddd_unit, unit_cost }
}

pub(crate) const MEDICATIONS: &[Medication] = &[
    medication(["Paracetamol 500 mg tablet", "N02BE01", "oral", "500", "mg", "3", "g", "0.05"]),
    medication(["Morphine 10 mg injection", "N02AA01", "parenteral", "10", "mg", "30", "mg", "2.40"]),
    medication(["Amoxicillin 500 mg capsule", "J01CA04", "oral", "500", "mg", "1.5", "g", "0.22"]),
    medication(["Ceftriaxone 1 g injection", "J01DD04", "parenteral", "1", "g", "2", "g", "3.10"]),
    medication(["Furosemide 40 mg tablet", "C03CA01", "oral", "40", "mg", "40", "mg", "0.06"]),
    medication(["Metoprolol 50 mg tablet", "C07AB02", "oral", "50", "mg", "0.15", "g", "0.08"]),
    medication(["Spironolactone 25 mg tablet", "C03DA01", "oral", "25", "mg", "75", "mg", "0.11"]),
    medication(["Metformin 850 mg tablet", "A10BA02", "oral", "850", "mg", "2", "g", "0.07"]),
    medication(["Insulin glargine 100 U/ml", "A10AE04", "parenteral", "100", "U", "40", "U", "18.50"]),
    medication(["Salbutamol 2.5 mg inhalation solution", "R03AC02", "inhalation", "2.5", "mg", "10", "mg", "0.60"]),
    medication(["Prednisolone 5 mg tablet", "H02AB06", "oral", "5", "mg", "10", "mg", "0.09"]),
    medication(["Acetylsalicylic acid 100 mg tablet", "B01AC06", "oral", "100", "mg", "1", "{tablet}", "0.03"]),
    medication(["Atorvastatin 40 mg tablet", "C10AA05", "oral", "40", "mg", "20", "mg", "0.12"]),
    medication(["Ondansetron 4 mg injection", "A04AA01", "parenteral", "4", "mg", "16", "mg", "1.15"]),
    medication(["Enoxaparin 40 mg syringe", "B01AB05", "parenteral", "4000", "U", "2000", "U", "4.80"]),
    medication(["Norepinephrine 4 mg injection", "C01CA03", "parenteral", "4", "mg", "6", "mg", "6.70"]),
    medication(["Propofol 200 mg injection", "N01AX10", "parenteral", "200", "mg", "", "", "5.25"]),
    medication(["Oxytocin 10 U injection", "H01BB02", "parenteral", "10", "U", "15", "U", "1.90"]),
    medication(["Ibuprofen 400 mg tablet", "M01AE01", "oral", "400", "mg", "1.2", "g", "0.06"]),
    medication(["Amlodipine 5 mg tablet", "C08CA01", "oral", "5", "mg", "5", "mg", "0.05"]),
];

/// Payer name and type; weights of [`PAYER_WEIGHTS`] follow the same order.
pub(crate) const PAYERS: &[(&str, &str)] = &[
    ("Medicare", "public"),
    ("Medicaid", "public"),
    ("Empire Health", "commercial"),
    ("Hudson Mutual", "commercial"),
    ("Lakes Insurance", "commercial"),
    ("Keystone Care", "commercial"),
];
pub(crate) const PAYER_WEIGHTS: &[f64] = &[0.30, 0.20, 0.18, 0.14, 0.10, 0.08];

/// Claim adjustment reason codes (X12) with their short texts.
pub(crate) const DENIALS: &[(&str, &str)] = &[
    ("CO-16", "Claim lacks information"),
    ("CO-18", "Exact duplicate claim"),
    ("CO-29", "Time limit for filing has expired"),
    ("CO-50", "Not deemed a medical necessity"),
    ("CO-197", "Precertification absent"),
];
