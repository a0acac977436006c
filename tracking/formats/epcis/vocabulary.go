package epcis

import (
	"slices"
	"strings"
)

// vocabulary is one of the Core Business Vocabulary (CBV 2.0), or one of the GS1 Web Vocabulary that sensor reports use.
type vocabulary struct {
	// name is what messages call a word of it.
	name string
	// prefix comes before a word to make its URI; curie is the prefix as a compact URI.
	prefix, curie string
	words         []string
}

const (
	cbv = "https://ref.gs1.org/cbv/"
	voc = "https://gs1.org/voc/"
)

func standard(name, part, words string) *vocabulary {
	return &vocabulary{name: name, prefix: cbv + part, curie: "cbv:" + part, words: strings.Fields(words)}
}

var (
	bizSteps = standard("business step", "BizStep-", `accepting arriving assembling collecting commissioning consigning
		creating_class_instance cycle_counting decommissioning departing destroying disassembling dispensing encoding
		entering_exiting holding inspecting installing killing loading other packing picking receiving removing repackaging
		repairing replacing reserving retail_selling shipping staging_outbound stock_taking stocking storing transporting
		unloading unpacking void_shipping sensor_reporting sampling`)
	dispositions = standard("disposition", "Disp-", `active container_closed damaged destroyed dispensed disposed encoded expired
		in_progress in_transit inactive no_pedigree_match non_sellable_other partially_dispensed recalled reserved retail_sold
		returned sellable_accessible sellable_not_accessible stolen unknown available completeness_verified
		completeness_inferred conformant container_open mismatch_instance mismatch_class mismatch_quantity needs_replacement
		non_conformant unavailable`)
	transactionTypes = standard("type of business transaction", "BTT-",
		`bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt`)
	partyTypes = standard("type of source or destination", "SDT-", `owning_party possessing_party location`)
	reasons    = standard("error reason", "ER-", `did_not_occur incorrect_data`)
	components = standard("component", "Comp-", `x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle
		easting northing latitude longitude altitude`)
	alerts       = &vocabulary{name: "sensor alert", prefix: voc, curie: "gs1:", words: []string{"ALARM_CONDITION", "ERROR_CONDITION"}}
	measurements = &vocabulary{name: "type of measurement", prefix: voc, curie: "gs1:", words: strings.Fields(
		`AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Radioactivity Altitude AmountOfSubstance
		AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance Conductance
		Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity ElectricCharge
		ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency Illuminance Inductance
		Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux LuminousIntensity MagneticFlux
		MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate MassPerAreaTime MemoryCapacity
		MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux RadiantIntensity RelativeHumidity
		Resistance Resistivity SolidAngle SpecificVolume Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage
		Volume VolumeFlowRate VolumeFraction VolumetricFlux Wavenumber`)}
)

// word returns the word of the vocabulary that a value is, whichever way it is written; empty when it is none.
func (v *vocabulary) word(value string) string {
	for _, prefix := range [...]string{v.prefix, v.curie} {
		if rest, ok := strings.CutPrefix(value, prefix); ok {
			value = rest
			break
		}
	}
	if slices.Contains(v.words, value) {
		return value
	}
	return ""
}

// within reports whether a value claims to be of the vocabulary.
func (v *vocabulary) within(value string) bool {
	return strings.HasPrefix(value, v.prefix) && v.prefix != voc || strings.HasPrefix(value, v.curie)
}

// forbidden are the namespaces that a JSON document must not write words of the vocabularies in: the JSON Schema of EPCIS 2.0
// wants the bare word.
var forbidden = []string{"urn:epcglobal:cbv", "https://ns.gs1.org/cbv/", "http://ns.gs1.org/cbv/"}

var forbiddenVoc = []string{"https://gs1.org/voc/", "http://gs1.org/voc/", "https://www.gs1.org/voc/", "http://www.gs1.org/voc/"}

// excluded reports whether the JSON Schema excludes the namespace of a value.
func (v *vocabulary) excluded(value string) bool {
	list := forbidden
	if v.prefix == voc {
		list = forbiddenVoc
	}
	return slices.ContainsFunc(list, func(prefix string) bool { return strings.HasPrefix(value, prefix) })
}
