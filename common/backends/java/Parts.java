package live.marquee.backends;

import java.io.IOException;
import java.io.StringReader;
import java.text.ParseException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.de.GermanAnalyzer;
import org.apache.lucene.analysis.de.GermanLightStemFilter;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.en.EnglishMinimalStemFilter;
import org.apache.lucene.analysis.en.EnglishPossessiveFilter;
import org.apache.lucene.analysis.en.KStemFilter;
import org.apache.lucene.analysis.en.PorterStemFilter;
import org.apache.lucene.analysis.es.SpanishAnalyzer;
import org.apache.lucene.analysis.es.SpanishLightStemFilter;
import org.apache.lucene.analysis.fr.FrenchAnalyzer;
import org.apache.lucene.analysis.fr.FrenchLightStemFilter;
import org.apache.lucene.analysis.it.ItalianAnalyzer;
import org.apache.lucene.analysis.it.ItalianLightStemFilter;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.miscellaneous.LengthFilter;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.miscellaneous.TrimFilter;
import org.apache.lucene.analysis.miscellaneous.TruncateTokenFilter;
import org.apache.lucene.analysis.miscellaneous.WordDelimiterGraphFilter;
import org.apache.lucene.analysis.ngram.EdgeNGramTokenFilter;
import org.apache.lucene.analysis.ngram.EdgeNGramTokenizer;
import org.apache.lucene.analysis.ngram.NGramTokenFilter;
import org.apache.lucene.analysis.ngram.NGramTokenizer;
import org.apache.lucene.analysis.pt.PortugueseAnalyzer;
import org.apache.lucene.analysis.pt.PortugueseLightStemFilter;
import org.apache.lucene.analysis.snowball.SnowballFilter;
import org.apache.lucene.analysis.synonym.SolrSynonymParser;
import org.apache.lucene.analysis.synonym.SynonymFilter;
import org.apache.lucene.analysis.synonym.SynonymGraphFilter;
import org.apache.lucene.analysis.synonym.SynonymMap;
import org.apache.lucene.analysis.util.ElisionFilter;
import org.elasticsearch.common.settings.Settings;

/**
 * Lucene's token filters, tokenizers and analysers under the names that Elasticsearch's own analysis module gives them, with the
 * settings that it takes. That module is not published; the Lucene parts are in the server. Names and defaults are those of the
 * reference, "Text analysis", so that an index that works here works on a stock server.
 */
final class Parts {
    private Parts() {}

    /** Filters that also normalise a keyword: they change letters, never the number of tokens. */
    static final Set<String> NORMALISING = Set.of("asciifolding", "trim", "uppercase");

    static final Map<String, BiFunction<Settings, TokenStream, TokenStream>> FILTERS = new TreeMap<>();
    static final Map<String, Function<Settings, Tokenizer>> TOKENIZERS = new TreeMap<>();
    static final Map<String, Supplier<Analyzer>> ANALYZERS = new TreeMap<>();

    private static final int WORD_PARTS = WordDelimiterGraphFilter.GENERATE_WORD_PARTS
        | WordDelimiterGraphFilter.GENERATE_NUMBER_PARTS
        | WordDelimiterGraphFilter.SPLIT_ON_CASE_CHANGE
        | WordDelimiterGraphFilter.SPLIT_ON_NUMERICS
        | WordDelimiterGraphFilter.STEM_ENGLISH_POSSESSIVE;

    static {
        FILTERS.put("asciifolding", (s, in) -> new ASCIIFoldingFilter(in, keepsOriginal(s)));
        FILTERS.put("edge_ngram", (s, in) -> new EdgeNGramTokenFilter(in, min(s), max(s), keepsOriginal(s)));
        FILTERS.put("ngram", (s, in) -> new NGramTokenFilter(in, min(s), max(s), keepsOriginal(s)));
        FILTERS.put("length", (s, in) -> new LengthFilter(in, s.getAsInt("min", 0), s.getAsInt("max", Integer.MAX_VALUE)));
        FILTERS.put("truncate", (s, in) -> new TruncateTokenFilter(in, s.getAsInt("length", 10)));
        FILTERS.put("trim", (s, in) -> new TrimFilter(in));
        FILTERS.put("uppercase", (s, in) -> new org.apache.lucene.analysis.core.UpperCaseFilter(in));
        FILTERS.put("remove_duplicates", (s, in) -> new RemoveDuplicatesTokenFilter(in));
        FILTERS.put("porter_stem", (s, in) -> new PorterStemFilter(in));
        FILTERS.put("kstem", (s, in) -> new KStemFilter(in));
        FILTERS.put("snowball", (s, in) -> new SnowballFilter(in, s.get("language", "English")));
        FILTERS.put("stemmer", (s, in) -> stemmer(s.get("language", s.get("name", "porter")), in));
        FILTERS.put("word_delimiter_graph", (s, in) -> new WordDelimiterGraphFilter(in, WORD_PARTS, null));
        FILTERS.put("elision", (s, in) -> new ElisionFilter(in, articles(s)));

        TOKENIZERS.put("edge_ngram", s -> new EdgeNGramTokenizer(min(s), max(s)));
        TOKENIZERS.put("ngram", s -> new NGramTokenizer(min(s), max(s)));

        ANALYZERS.put("english", EnglishAnalyzer::new);
        ANALYZERS.put("french", FrenchAnalyzer::new);
        ANALYZERS.put("german", GermanAnalyzer::new);
        ANALYZERS.put("italian", ItalianAnalyzer::new);
        ANALYZERS.put("portuguese", PortugueseAnalyzer::new);
        ANALYZERS.put("spanish", SpanishAnalyzer::new);
    }

    private static boolean keepsOriginal(Settings settings) {
        return settings.getAsBoolean("preserve_original", false);
    }

    private static int min(Settings settings) {
        return settings.getAsInt("min_gram", 1);
    }

    private static int max(Settings settings) {
        return settings.getAsInt("max_gram", 2);
    }

    private static CharArraySet articles(Settings settings) {
        List<String> usual = List.of("l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu");
        return new CharArraySet(settings.getAsList("articles", usual), settings.getAsBoolean("articles_case", false));
    }

    /** The stemmers of the languages that Marquee has analysers for; any other name is a Snowball stemmer's. */
    private static TokenStream stemmer(String language, TokenStream in) {
        return switch (language.toLowerCase(Locale.ROOT)) {
            case "english", "porter" -> new PorterStemFilter(in);
            case "light_english", "kstem" -> new KStemFilter(in);
            case "minimal_english" -> new EnglishMinimalStemFilter(in);
            case "possessive_english" -> new EnglishPossessiveFilter(in);
            case "light_french" -> new FrenchLightStemFilter(in);
            case "light_german" -> new GermanLightStemFilter(in);
            case "light_italian" -> new ItalianLightStemFilter(in);
            case "light_portuguese" -> new PortugueseLightStemFilter(in);
            case "light_spanish" -> new SpanishLightStemFilter(in);
            default -> new SnowballFilter(in, language.substring(0, 1).toUpperCase(Locale.ROOT) + language.substring(1));
        };
    }

    /** Synonym rules ("tv, television", "ny => new york"), their words analysed as the text before them in the chain is. */
    static SynonymMap synonyms(Settings settings, Analyzer before) {
        SolrSynonymParser rules = new SolrSynonymParser(true, settings.getAsBoolean("expand", true), before);
        try {
            rules.parse(new StringReader(String.join("\n", settings.getAsList("synonyms"))));
            return rules.build();
        } catch (IOException | ParseException e) {
            throw new IllegalArgumentException("failed to build synonyms", e);
        }
    }

    /** The filter for such rules; without any, Lucene has no map to look in. */
    static TokenStream replace(TokenStream in, SynonymMap synonyms, boolean graph) {
        if (synonyms.fst == null) {
            return in;
        }
        return graph ? new SynonymGraphFilter(in, synonyms, false) : new SynonymFilter(in, synonyms, false);
    }
}
