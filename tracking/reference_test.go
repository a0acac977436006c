package tracking_test

import (
	"os"
	"strings"
	"testing"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/tracking"
)

func TestPlaces(t *testing.T) {
	file, err := os.Open("testdata/airports.csv")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	places, err := tracking.LoadPlaces(file)
	require.NoError(t, err)
	byIATA, ok := places.Lookup(" lim ")
	require.True(t, ok)
	require.Equal(t, "PE", byIATA.Country)
	require.Equal(t, "America/Lima", byIATA.TimeZone)
	require.InDelta(t, -12.02, byIATA.Lat, 0.01)
	require.InDelta(t, -77.11, byIATA.Lon, 0.01)
	byICAO, ok := places.Lookup(byIATA.ICAO)
	require.True(t, ok)
	require.Same(t, byIATA, byICAO)
	for _, code := range []string{"", "ZZZ", "LIMA"} {
		_, ok = places.Lookup(code)
		require.False(t, ok, code)
	}
}

func TestZones(t *testing.T) {
	const table = "iata,icao,name,city,country,latitude,longitude,timezone\nLIM,SPJC,x,y,PE,-12,-77,America/Lima\n" +
		"AAA,,x,y,PF,1,2,\nBBB,,x,y,ZZ,1,2,Nowhere/None\nCCC,,x,y,FJ,-17,-179,\nDDD,,x,y,FJ,-17,178,Pacific/Fiji\nEEE,,x,y,FJ,-17,-170,Pacific/Apia\n"
	places, err := tracking.LoadPlaces(strings.NewReader(table))
	require.NoError(t, err)
	require.Equal(t, "America/Lima", places.Zone("lim").String())
	require.Same(t, places.Zone("LIM"), places.Zone("SPJC"))
	for _, code := range []string{"", "ZZZ", "AAA", "BBB", "BBB"} {
		require.Nil(t, places.Zone(code), code)
	}
	require.Equal(t, "Pacific/Fiji", places.Zone("CCC").String(), "that of the nearest, across the date line")
	var none *tracking.Places
	require.Nil(t, none.Zone("LIM"))
}

func TestPlacesErrors(t *testing.T) {
	const header = "iata,icao,name,city,country,latitude,longitude,timezone\n"
	for text, want := range map[string]string{
		"":                                 "line 1: the header is missing",
		"iata,icao\n":                      `line 1: column "name" is missing`,
		header + "LIM,SPJC,x\n":            "line 2",
		header + "LIM,SPJC,x,y,PE,a,2,z":   `line 2: latitude "a"`,
		header + "LIM,SPJC,x,y,PE,NaN,2,z": "line 2: latitude",
		header + "A,B,x,y,PE,1,2,z\n\nLIM,SPJC,x,y,PE,1,181,z": `line 4: longitude "181"`,
		header + ",,x,y,PE,1,2,z":                              "line 2: a place needs",
		header + "\"LIM":                                       "line 2",
	} {
		_, err := tracking.LoadPlaces(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "read places")
	}
	_, err := tracking.LoadPlaces(strings.NewReader("\ufefftimezone,longitude,latitude,country,city,name,icao,IATA,extra\nz,1,2,PE,c,n,SPJC,LIM,e\n"))
	require.NoError(t, err, "columns in any order, others besides")
}

func TestAirlines(t *testing.T) {
	file, err := os.Open("testdata/airlines.csv")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	airlines, err := tracking.LoadAirlines(file)
	require.NoError(t, err)
	qatar, ok := airlines.ByPrefix("157")
	require.True(t, ok)
	require.Equal(t, "QR", qatar.IATA)
	byICAO, ok := airlines.ByDesignator("qtr")
	require.True(t, ok)
	require.Same(t, qatar, byICAO)
	passengers, ok := airlines.ByDesignator("LH")
	require.True(t, ok)
	require.Equal(t, "Lufthansa", passengers.Name, "the first of several stands")
	cargo, ok := airlines.ByPrefix("020")
	require.True(t, ok)
	require.Equal(t, "Lufthansa Cargo", cargo.Name)
	for _, code := range []string{"", "ZZZ"} {
		_, ok = airlines.ByDesignator(code)
		require.False(t, ok)
		_, ok = airlines.ByPrefix(code)
		require.False(t, ok)
	}

	const header = "iata,icao,accounting_prefix,name\n"
	for text, want := range map[string]string{
		header + "LA,LAN,45,x": `line 2: accounting_prefix "45"`,
		header + ",,045,x":     "line 2: an airline needs",
		"a,b":                  `line 1: column "iata"`,
	} {
		_, err := tracking.LoadAirlines(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

func TestParseFlight(t *testing.T) {
	for text, want := range map[string]tracking.Flight{
		"LA2047":       {Carrier: "LA", Number: "2047"},
		" la 2047 ":    {Carrier: "LA", Number: "2047"},
		"LH400/16OCT":  {Carrier: "LH", Number: "400"},
		"LH400A/":      {Carrier: "LH", Number: "400", Suffix: "A"},
		"DLH0505":      {Carrier: "DLH", Number: "0505"},
		"4M1":          {Carrier: "4M", Number: "1"},
		"A320":         {Carrier: "A3", Number: "20"},
		"3R1234Z":      {Carrier: "3R", Number: "1234", Suffix: "Z"},
		"O31698/08APR": {Carrier: "O3", Number: "1698"},
	} {
		got, ok := tracking.ParseFlight(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "/", "L", "LA", "LA/1", "LAN", "2047", "LA20470", "LA2047AB", "LAA", "L-1", "LATAM1", "LA  1", "LA1é", "ÑA1", "LA A", "12A",
	} {
		_, ok := tracking.ParseFlight(text)
		require.False(t, ok, text)
	}
}

func FuzzParseFlight(f *testing.F) {
	f.Add("LA2047")
	f.Add("DLH0505A/16OCT")
	f.Fuzz(func(t *testing.T, text string) {
		flight, ok := tracking.ParseFlight(text)
		if !ok {
			return
		}
		again, ok := tracking.ParseFlight(flight.Carrier + flight.Number + flight.Suffix)
		require.True(t, ok)
		require.Equal(t, flight, again)
	})
}

func FuzzLoadPlaces(f *testing.F) {
	f.Add("iata,icao,name,city,country,latitude,longitude,timezone\nLIM,SPJC,x,y,PE,1,2,z\n")
	f.Fuzz(func(_ *testing.T, text string) {
		if places, err := tracking.LoadPlaces(strings.NewReader(text)); err == nil {
			places.Lookup("LIM")
		}
		if airlines, err := tracking.LoadAirlines(strings.NewReader(text)); err == nil {
			airlines.ByPrefix("045")
		}
	})
}
